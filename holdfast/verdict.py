"""Verdicts: pass, unknown or fail; the worst wins; a gate that crashed is unknown, never a pass."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, Protocol, TypeVar

import msgspec

from holdfast.errors import ExitCode

H = TypeVar("H", contravariant=True)


class Outcome(Enum):
    """What a gate says, best to worst."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    UNKNOWN = "unknown"
    FAIL = "fail"

    @property
    def rank(self) -> int:
        """0 for pass, 1 for unknown, 2 for fail."""
        return ("pass", "unknown", "fail").index(self.value)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a command whose outcome this is."""
        return (ExitCode.PASS, ExitCode.UNKNOWN, ExitCode.FAIL)[self.rank]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's answer, with the reason in words and the evidence (numbers, names of requests) behind it."""

    gate: str
    outcome: Outcome
    because: str
    evidence: dict[str, Any] = {}


class Gate(Protocol[H]):
    """A pure judge of recorded history: the same history always gives the same verdict."""

    @property
    def name(self) -> str:
        """A short name with dashes, unique in a report."""
        ...

    def judge(self, history: H) -> Verdict:
        """Judge what was recorded. It must not touch the world."""
        ...


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst outcome; no outcome at all is unknown."""
    return max(outcomes, key=lambda outcome: outcome.rank, default=Outcome.UNKNOWN)


def judge_safely(gate: Gate[H], history: H) -> Verdict:
    """Judge; a gate that crashes gives unknown with the crash as its reason."""
    try:
        return gate.judge(history)
    except Exception as error:  # noqa: BLE001 - whatever a gate raises must become a verdict
        return Verdict(gate=gate.name, outcome=Outcome.UNKNOWN, because=f"the gate crashed: {error!r}")
