"""Every error says what, because of what, and the way out: here those that only a mistake brings up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import services

from holdfast.config import convert, read_yaml
from holdfast.errors import HoldfastError
from holdfast.infra.effects import read_effects
from holdfast.infra.stack import Edge, Effects
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import Call
from holdfast.infra.targets.local.instances import fill


def whole(act: Callable[[], Any]) -> HoldfastError:
    """The error that `act` must raise; it has all its parts."""
    with pytest.raises(HoldfastError) as caught:
        act()
    error = caught.value
    assert all((error.what, error.because, error.way_out)), error
    return error


def test_a_name_that_a_stack_does_not_have() -> None:
    error = whole(lambda: fill("{link:a→c}", {"link:a→b": "x"}, "services.a.env"))
    assert (error.what, error.because) == ("services.a.env: {link:a→c} is not known", "known: link:a→b")


def test_a_file_that_is_no_mapping(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- one\n")
    assert whole(lambda: read_yaml(tmp_path / "a.yaml")).what.endswith("a.yaml: expected a mapping, got array")


def test_a_value_that_does_not_fit() -> None:
    assert whole(lambda: convert({"service": 5}, Edge, "a.yaml: edge")).what == (
        "a.yaml: edge.service: expected str, got int"
    )


def test_a_query_of_effects_without_the_column_that_counts(tmp_path: Path) -> None:
    with services.postgres(tmp_path) as server:
        dsn = server.new_database("effects", migrated=False)
        query = Effects(store="postgres", query="SELECT 1 AS one, 2 AS two WHERE 'x' LIKE %(prefix)s OR true")
        assert whole(lambda: read_effects(query, dsn, "r")).because.startswith("its columns are one, two;")


@pytest.mark.parametrize(
    ("call", "because"),
    [
        (Call(verb="start"), "start needs a unit"),
        (Call(verb="signal", names=["nobody"], number=10), "nobody does not run"),
        (Call(verb="expire", names=["nobody"], at=1.0), "nobody has ended"),
    ],
    ids=lambda value: value.verb if isinstance(value, Call) else "",
)
def test_a_call_that_the_supervisor_cannot_carry_out(supervisor: SupervisorClient, call: Call, because: str) -> None:
    error = whole(lambda: supervisor.call(call))
    assert because in error.because
    assert "see" in error.way_out or "call it with" in error.way_out
