"""The verdicts of a restore, read from what it recorded."""

from __future__ import annotations

from holdfast.run import History
from holdfast.timeline import points, spans
from holdfast.verdict import Outcome, Verdict


def judge_restore(history: History) -> list[Verdict]:
    """Whether each store was restored as it was, and whether every step went well."""
    found = [
        Verdict(gate=point.data["gate"], outcome=Outcome(point.data["outcome"]), because=point.data["because"])
        for point in points(history.events, "verdict")
    ]
    return [*found, judge_steps(history)]


def judge_steps(history: History) -> Verdict:
    """Whether every step of the recorded restore went well."""
    steps = spans(history.events, "step")
    bad = [step for step in steps if step.ok is not True]
    if not steps and not points(history.events, "result"):
        return Verdict(gate="restore", outcome=Outcome.UNKNOWN, because="nothing was carried out")
    if bad:
        outcome = Outcome.UNKNOWN if bad[0].ok is None else Outcome.FAIL
        said = "it was cut off" if bad[0].ok is None else str(bad[0].data.get("error", "")).partition("\n")[0]
        return Verdict(gate="restore", outcome=outcome, because=f"{bad[0].data.get('step')}: {said}")
    return Verdict(gate="restore", outcome=Outcome.PASS, because="every step went well")
