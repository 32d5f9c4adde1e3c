"""The verdicts of the failover drill, read from what it recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.report.build import build_report
from holdfast.report.model import Report
from holdfast.run import History
from holdfast.timeline import Event, points
from holdfast.verdict import Gate, Outcome, Verdict, judge_safely

MAX_RPO_S = 5.0
MAX_RTO_S = 60.0
NAMED = 20


@dataclass(frozen=True)
class FailoverRpo:
    """What was acknowledged by the primary region and is not in the secondary: the last seconds before the cut."""

    limit_s: float = MAX_RPO_S
    name: str = "rpo"

    def judge(self, history: History) -> Verdict:
        """Fail above the limit; unknown where nothing was acknowledged."""
        figures = rpo(history)
        if figures is None:
            return _unknown(self.name, "no acknowledged write was compared")
        seconds, lost, of = figures
        because = f"{lost} of {of} acknowledged writes are lost, the last {seconds:.2f} s before the cut"
        evidence = {"rpo_s": seconds, "rpo_rows": lost, "acknowledged": of, "limit_s": self.limit_s}
        outcome = Outcome.FAIL if seconds > self.limit_s else Outcome.PASS
        return Verdict(gate=self.name, outcome=outcome, because=because, evidence=evidence)


@dataclass(frozen=True)
class NoHoles:
    """What is lost is the end of the series: a write that came later than a lost one is lost too."""

    name: str = "no-holes"

    def judge(self, history: History) -> Verdict:
        """Fail where a write is missing that is older than one that is there."""
        writes = [point for point in points(history.events, "failover.writes") if point.data["acknowledged"]]
        if not writes:
            return _unknown(self.name, "no acknowledged write was compared")
        holes = {str(point.data["store"]): _holes(point) for point in writes}
        total = sum(len(numbers) for numbers in holes.values())
        because = f"{total} acknowledged writes are missing among those that are there"
        evidence = {store: numbers[:NAMED] for store, numbers in holes.items()}
        outcome = Outcome.FAIL if total else Outcome.PASS
        return Verdict(gate=self.name, outcome=outcome, because=because, evidence=evidence)


@dataclass(frozen=True)
class FailoverRto:
    """From the cut to the first write that every store of the secondary region took; noticing the cut included."""

    limit_s: float = MAX_RTO_S
    name: str = "rto"

    def judge(self, history: History) -> Verdict:
        """Fail above the limit; unknown where the secondary took no write."""
        seconds = rto(history)
        if seconds is None:
            return _unknown(self.name, "the secondary region took no write")
        noticed = _wall(history, "failover.noticed") - _wall(history, "failover.cut")
        because = f"{seconds:.1f} s from the cut to the first write in the secondary region, {noticed:.1f} s to notice"
        evidence = {"rto_s": seconds, "noticed_s": noticed, "limit_s": self.limit_s}
        outcome = Outcome.FAIL if seconds > self.limit_s else Outcome.PASS
        return Verdict(gate=self.name, outcome=outcome, because=because, evidence=evidence)


@dataclass(frozen=True)
class Returned:
    """The primary region leads again, the secondary follows, and the planned way back lost nothing."""

    name: str = "back-to-normal"

    def judge(self, history: History) -> Verdict:
        """Fail on a lost write or a difference between the regions; unknown where the way back was not walked."""
        returned, compared = points(history.events, "failover.returned"), points(history.events, "failover.compared")
        if not returned or not compared:
            return _unknown(self.name, "the way back was not walked to its end")
        lost = sum(len(point.data["missing"]) for point in returned)
        of = sum(point.data["acknowledged"] for point in returned)
        said = [f"{point.data['store']}: {line}" for point in compared for line in point.data["said"]]
        because = "; ".join([f"{lost} of {of} writes from before the way back are lost", *said])
        outcome = Outcome.FAIL if lost or said else Outcome.PASS if of else Outcome.UNKNOWN
        return Verdict(gate=self.name, outcome=outcome, because=because)


def failover_gates(history: History) -> tuple[Gate[History], ...]:
    """The gates, with the limits that the drill was given."""
    limits: dict[str, Any] = next((point.data for point in points(history.events, "drill.limits")), {})
    return (
        FailoverRpo(limit_s=float(limits.get("rpo_s", MAX_RPO_S))),
        NoHoles(),
        FailoverRto(limit_s=float(limits.get("rto_s", MAX_RTO_S))),
        Returned(),
    )


def failover_report(history: History) -> Report:
    """The report of a failover drill, with its figures beside the usual ones."""
    report = build_report(history, [judge_safely(gate, history) for gate in failover_gates(history)])
    found = rpo(history)
    figures = {"rto_s": rto(history), "rpo_s": found[0] if found else None, "rpo_rows": found[1] if found else None}
    measured = {name: float(value) for name, value in figures.items() if value is not None}
    return msgspec.structs.replace(report, figures={**report.figures, **measured})


def rpo(history: History) -> tuple[float, int, int] | None:
    """Seconds between the last write that survived and the last that was acknowledged, lost writes, all writes.

    The seconds are those of the store that lost most.
    """
    writes = [point for point in points(history.events, "failover.writes") if point.data["acknowledged"]]
    if not writes:
        return None
    seconds = max(_lost_seconds(point) for point in writes)
    lost = sum(len(point.data["missing"]) for point in writes)
    return seconds, lost, sum(point.data["acknowledged"] for point in writes)


def rto(history: History) -> float | None:
    """Seconds from the cut to the first write in the secondary region."""
    if not points(history.events, "failover.cut") or not points(history.events, "failover.answered"):
        return None
    return _wall(history, "failover.answered") - _wall(history, "failover.cut")


def _lost_seconds(point: Event) -> float:
    last, survived = float(point.data["last"]), point.data["survived"]
    first = min((float(at) for _, at in point.data["missing"]), default=last)
    return max(0.0, last - (float(survived) if survived is not None else first))


def _holes(point: Event) -> list[int]:
    survived = point.data["survived"]
    return [number for number, at in point.data["missing"] if survived is not None and at < survived]


def _wall(history: History, name: str) -> float:
    return float(points(history.events, name)[-1].data["wall"])


def _unknown(gate: str, because: str) -> Verdict:
    return Verdict(gate=gate, outcome=Outcome.UNKNOWN, because=because)
