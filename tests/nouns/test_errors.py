"""Errors have three parts, and each kind its exit code: a refusal is never 0."""

import pytest

from holdfast import errors
from holdfast.errors import EXIT_CODE_HELP, ExitCode, HoldfastError


def kinds(base: type[HoldfastError] = HoldfastError) -> list[type[HoldfastError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in kinds(child))]


def test_an_error_is_read_as_what_because_and_way_out() -> None:
    error = errors.Refused("the lock is held", because="deploy v2 holds it", way_out="wait, or `holdfast abort`")
    assert str(error).splitlines() == [
        "the lock is held",
        "  because: deploy v2 holds it",
        "  way out: wait, or `holdfast abort`",
    ]


def test_parts_that_are_not_known_are_left_out() -> None:
    assert str(errors.GateFailed("no")) == "no"
    assert str(errors.GateFailed("no", way_out="yes")) == "no\n  way out: yes"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.GateFailed, 1),
        (errors.UsageError, 2),
        (errors.GateUnknown, 3),
        (errors.EnvironmentFailed, 3),
        (errors.Refused, 4),
        (errors.HoldfastError, 70),
        (errors.Interrupted, 130),
    ],
)
def test_each_kind_has_its_exit_code(kind: type[HoldfastError], code: int) -> None:
    assert kind("x").code == code


def test_no_error_ends_with_zero() -> None:
    assert len(kinds()) >= 7
    assert [kind.__name__ for kind in kinds() if kind.code == 0] == []


def test_the_help_names_every_exit_code() -> None:
    assert [int(part.split()[0]) for part in EXIT_CODE_HELP.split(" · ")] == sorted(ExitCode)
