"""The verdicts of restores and of the restore drill, read from what they recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.report.build import build_report
from holdfast.report.model import Report
from holdfast.run import History
from holdfast.timeline import points, spans
from holdfast.verdict import Gate, Outcome, Verdict, judge_safely

MAX_RPO_S = 60.0
MAX_RTO_S = 60.0
NAMED = 20
"""So many lost writes are named."""


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


@dataclass(frozen=True)
class Restorable:
    """The backup could be restored: its files were whole, and what was loaded is what they say."""

    name: str = "restorable"

    def judge(self, history: History) -> Verdict:
        """Fail where the restore refused or failed; unknown where it did not come to an end."""
        ends = points(history.events, "drill.restored")
        if not ends:
            return _unknown(self.name, "no restore came to an end")
        outcome = Outcome.PASS if ends[-1].data["ok"] else Outcome.FAIL
        return Verdict(gate=self.name, outcome=outcome, because=str(ends[-1].data["because"]))


@dataclass(frozen=True)
class Equal:
    """Every table and key of every store is what was there at the instant of the backup."""

    name: str = "equal"

    def judge(self, history: History) -> Verdict:
        """Fail on the first difference, named; unknown where nothing was compared."""
        compared = points(history.events, "drill.compared")
        if not compared:
            return _unknown(self.name, "nothing was compared")
        said = [f"{p.data['store']}: {'; '.join(p.data['said'][:3])}" for p in compared if p.data["differences"]]
        equal = ", ".join(f"{p.data['store']}: {p.data['what']}" for p in compared)
        outcome = Outcome.FAIL if said else Outcome.PASS
        evidence = {str(p.data["store"]): p.data["said"] for p in compared}
        return Verdict(gate=self.name, outcome=outcome, because="; ".join(said) or equal, evidence=evidence)


@dataclass(frozen=True)
class AcknowledgedBefore:
    """What was acknowledged before the backup began is there."""

    name: str = "acknowledged-before"

    def judge(self, history: History) -> Verdict:
        """Fail where one is missing; unknown where nothing was acknowledged."""
        backup, writes = points(history.events, "drill.backup"), points(history.events, "drill.writes")
        if not backup or not writes:
            return _unknown(self.name, "the writes were not counted")
        before = {str(store): int(last) for store, last in backup[-1].data["before"].items()}
        lost = {
            str(point.data["store"]): [n for n in point.data["missing"] if n <= before.get(point.data["store"], 0)]
            for point in writes
        }
        counted = sum(before.values())
        if not counted:
            return _unknown(self.name, "nothing was acknowledged before the backup")
        total = sum(len(numbers) for numbers in lost.values())
        evidence = {store: numbers[:NAMED] for store, numbers in lost.items()}
        because = f"{total} of {counted} acknowledged writes from before the backup are missing"
        return Verdict(gate=self.name, outcome=_fails(total > 0), because=because, evidence=evidence)


@dataclass(frozen=True)
class Rpo:
    """The recovery point: what is lost is what was written after the instant of the backup."""

    limit_s: float = MAX_RPO_S
    name: str = "rpo"

    def judge(self, history: History) -> Verdict:
        """Fail above the limit; unknown where the loss was not reached."""
        figures = rpo(history)
        if figures is None:
            return _unknown(self.name, "there was no loss to measure")
        seconds, rows = figures
        because = f"{seconds:.1f} s and {rows} acknowledged writes lie between the backup and the loss"
        evidence = {"rpo_s": seconds, "rpo_rows": rows, "limit_s": self.limit_s}
        return Verdict(gate=self.name, outcome=_fails(seconds > self.limit_s), because=because, evidence=evidence)


@dataclass(frozen=True)
class Rto:
    """The recovery time: from the start of the restore to the first correct answer of every store."""

    limit_s: float = MAX_RTO_S
    name: str = "rto"

    def judge(self, history: History) -> Verdict:
        """Fail above the limit; unknown where there was no correct answer."""
        seconds = rto(history)
        if seconds is None:
            return _unknown(self.name, "no store gave a correct answer")
        because = f"{seconds:.1f} s from the start of the restore to the first correct answer"
        evidence = {"rto_s": seconds, "limit_s": self.limit_s}
        return Verdict(gate=self.name, outcome=_fails(seconds > self.limit_s), because=because, evidence=evidence)


def restore_drill_gates(history: History) -> tuple[Gate[History], ...]:
    """The gates of the drill, with the limits that it was given."""
    limits: dict[str, Any] = next((p.data for p in points(history.events, "drill.limits")), {})
    return (
        Restorable(),
        Equal(),
        AcknowledgedBefore(),
        Rpo(limit_s=float(limits.get("rpo_s", MAX_RPO_S))),
        Rto(limit_s=float(limits.get("rto_s", MAX_RTO_S))),
    )


def judge_restore_drill(history: History) -> list[Verdict]:
    """Judge a restore drill from what it recorded alone."""
    return [judge_safely(gate, history) for gate in restore_drill_gates(history)]


def restore_drill_report(history: History) -> Report:
    """The report of a restore drill, with its figures beside the usual ones."""
    report = build_report(history, judge_restore_drill(history))
    found = rpo(history)
    figures = {"rto_s": rto(history), "rpo_s": found[0] if found else None, "rpo_rows": found[1] if found else None}
    measured = {name: float(value) for name, value in figures.items() if value is not None}
    return msgspec.structs.replace(report, figures={**report.figures, **measured})


def rpo(history: History) -> tuple[float, int] | None:
    """Seconds between the backup's instant and the loss, and the acknowledged writes that the restore did not bring."""
    backup, loss = points(history.events, "drill.backup"), points(history.events, "drill.loss")
    writes = points(history.events, "drill.writes")
    if not backup or not loss or not writes:
        return None
    seconds = float(loss[-1].data["wall"]) - float(backup[-1].data["wall"])
    return seconds, sum(len(point.data["missing"]) for point in writes)


def rto(history: History) -> float | None:
    """Seconds from the start of the restore to the first correct answer."""
    begins = [span.start for span in spans(history.events, "phase") if span.data.get("phase") == "restore"]
    answered = points(history.events, "answered")
    return (answered[-1].at - begins[-1]) / 1e9 if begins and answered else None


def _fails(bad: bool) -> Outcome:
    return Outcome.FAIL if bad else Outcome.PASS


def _unknown(gate: str, because: str) -> Verdict:
    return Verdict(gate=gate, outcome=Outcome.UNKNOWN, because=because)
