"""The gates of `verify`, and their limits."""

from __future__ import annotations

from holdfast.load.gates import ErrorRatio, Generator, Latency, NothingLost, Propagation, Recovery
from holdfast.run import History
from holdfast.timeline import points
from holdfast.verdict import Gate, Outcome, Verdict, judge_safely

STREAM = "users"
"""The stream of the load that goes on through all phases."""

GATES: tuple[Gate[History], ...] = (
    NothingLost(),
    ErrorRatio(limit=0.001, stream=STREAM),
    Latency(limit_ms=50, stream=STREAM),
    Recovery(limit_ms=15_000, stream=STREAM),
    Propagation(limit_ms=20, stream=STREAM),
    Generator(latency_limit_ms=50, stream=STREAM),
)


def judge_verify(history: History) -> list[Verdict]:
    """Judge a run of `verify` from what it recorded alone."""
    return [*(judge_safely(gate, history) for gate in GATES), *_phases(history)]


def _phases(history: History) -> list[Verdict]:
    """What the phases came to: each is a point `phase-verdict`, written when the phase ended."""
    found = [
        Verdict(gate=event.data["gate"], outcome=Outcome(event.data["outcome"]), because=event.data["because"])
        for event in points(history.events, "phase-verdict")
    ]
    return found or [Verdict(gate="release", outcome=Outcome.UNKNOWN, because="no release was carried out")]
