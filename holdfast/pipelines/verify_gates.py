"""The gates of `verify`, and their limits."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.load.gates import ErrorRatio, Generator, Latency, NothingLost, Propagation, Recovery
from holdfast.run import History
from holdfast.timeline import points
from holdfast.verdict import Gate, Outcome, Verdict, judge_safely

STREAM = "users"
"""The stream of the load that goes on through all phases."""

TARGET = "verify.target"
"""The point of the timeline that says where the stack runs."""


class Limits(NamedTuple):
    """What users may feel: p99 of all answers outside of faults, and of the switches; milliseconds."""

    latency_ms: float
    propagation_ms: float


LIMITS = {
    "local": Limits(latency_ms=50, propagation_ms=20),
    # Kubelets bring the routes to the edge, a quarter of a second each at best; and while a color starts, a small
    # cluster has its starting pods, its own components and perhaps this program on the cores that serve.
    "cluster": Limits(latency_ms=200, propagation_ms=1000),
}


def gates(limits: Limits) -> tuple[Gate[History], ...]:
    """The gates of a run."""
    return (
        NothingLost(),
        ErrorRatio(limit=0.001, stream=STREAM),
        Latency(limit_ms=limits.latency_ms, stream=STREAM),
        Recovery(limit_ms=15_000, stream=STREAM),
        Propagation(limit_ms=limits.propagation_ms, stream=STREAM),
        Generator(latency_limit_ms=limits.latency_ms, stream=STREAM),
    )


def judge_verify(history: History) -> list[Verdict]:
    """Judge a run of `verify` from what it recorded alone."""
    where = next((str(event.data["target"]) for event in points(history.events, TARGET)), "local")
    return [*(judge_safely(gate, history) for gate in gates(LIMITS[where])), *_phases(history)]


def _phases(history: History) -> list[Verdict]:
    """What the phases came to: each is a point `phase-verdict`, written when the phase ended."""
    found = [
        Verdict(gate=event.data["gate"], outcome=Outcome(event.data["outcome"]), because=event.data["because"])
        for event in points(history.events, "phase-verdict")
    ]
    return found or [Verdict(gate="release", outcome=Outcome.UNKNOWN, because="no release was carried out")]
