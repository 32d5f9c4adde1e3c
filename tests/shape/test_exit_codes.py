"""The exit codes are a promise to pipelines: exactly these, and `holdfast --help` prints them."""

import enum
import re
import subprocess
import sys
from pathlib import Path

from holdfast import errors

PROMISED = {"PASS": 0, "FAIL": 1, "USAGE": 2, "UNKNOWN": 3, "REFUSED": 4, "BUG": 70, "INTERRUPTED": 130}


def broken_promises(codes: type[enum.IntEnum], help_text: str) -> list[str]:
    """Codes that differ from the promised ones or that the help does not print."""
    actual = {code.name: code.value for code in codes}
    names = sorted(set(PROMISED.items()) ^ set(actual.items()))
    unprinted = [value for value in PROMISED.values() if not re.search(rf"(?<!\d){value} [a-z]", help_text)]
    return [f"{name} = {value}" for name, value in names] + [f"{value} is not in the help" for value in unprinted]


def test_the_exit_codes_are_the_promised_ones_and_help_prints_them() -> None:
    holdfast = Path(sys.executable).with_name("holdfast")
    printed = subprocess.run([holdfast, "--help"], capture_output=True, text=True, check=True, timeout=20).stdout
    assert broken_promises(errors.ExitCode, printed) == []


class Planted(enum.IntEnum):
    """Codes of which one was changed."""

    PASS, FAIL, USAGE, UNKNOWN, REFUSED, BUG, INTERRUPTED = 0, 1, 2, 3, 5, 70, 130


def test_a_planted_change_of_the_exit_codes_is_found() -> None:
    text = errors.EXIT_CODE_HELP.replace("3 unknown", "")
    assert broken_promises(Planted, text) == ["REFUSED = 4", "REFUSED = 5", "3 is not in the help"]


def test_every_error_class_names_one_of_the_codes() -> None:
    classes = [
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.HoldfastError)
    ]
    assert {type(kind.code) for kind in classes} == {errors.ExitCode}
    assert not [kind for kind in classes if kind.code == errors.ExitCode.PASS]
