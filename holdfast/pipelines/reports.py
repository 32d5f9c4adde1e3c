"""Reports of runs: judge what was recorded, write the views, read them again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from holdfast.errors import UsageError
from holdfast.infra.home import home_at
from holdfast.pipelines.failover_gates import failover_report
from holdfast.pipelines.recovery_gates import judge_restore, restore_drill_report
from holdfast.pipelines.verify_gates import judge_verify
from holdfast.report.build import build_report
from holdfast.report.model import Report
from holdfast.report.write import read_report, write_report
from holdfast.run import History, read_history
from holdfast.timeline import points, spans
from holdfast.verdict import Outcome, Verdict

Judge = Callable[[History], list[Verdict]]


def judge_release(history: History) -> list[Verdict]:
    """The verdicts that an operation came to while it ran, and whether it reached its end."""
    found = [
        Verdict(gate=p.data["gate"], outcome=Outcome(p.data["outcome"]), because=p.data["because"])
        for p in points(history.events, "verdict")
    ]
    return [*found, judge_operation(history)]


def judge_operation(history: History) -> Verdict:
    """Whether every step of the recorded operations went well."""
    failed = [span for span in spans(history.events, "step") if span.ok is False]
    cut = [span for span in spans(history.events, "step") if span.end is None]
    if not spans(history.events, "step") and not points(history.events, "result"):
        return Verdict(gate="release", outcome=Outcome.UNKNOWN, because="nothing was carried out")
    if failed:
        because = f"{failed[0].data.get('step')}: {failed[0].data.get('error', '')}"
        return Verdict(gate="release", outcome=Outcome.FAIL, because=because)
    if cut:
        because = f"{cut[0].data.get('step')} was cut off; its outcome is not known"
        return Verdict(gate="release", outcome=Outcome.UNKNOWN, because=because)
    return Verdict(gate="release", outcome=Outcome.PASS, because="every step went well")


def write_run_report(run: Path, judge: Judge) -> Path:
    """Judge a run and write its report; returns the path of report.html."""
    history = read_history(run)
    return write_report(run, build_report(history, judge(history)))


def stored_report(home: str, run: str | None) -> tuple[Report, Path]:
    """The report of a run as it was written; without a name, of the last run that has one."""
    folder = _run_path(home, run)
    if not (folder / "report.json").is_file():
        raise UsageError(
            f"run {folder.name} has no report",
            because="it was cut off before one was written",
            way_out=f"holdfast report judge {folder.name}",
        )
    return read_report(folder), folder / "report.html"


def judge_again(home: str, run: str | None) -> tuple[Report, Path]:
    """Judge a run from what it recorded and write its report anew."""
    path = _run_path(home, run)
    history = read_history(path)
    report = _reporter(history.info.command)(history)
    return report, write_report(path, report)


def _reporter(command: str) -> Callable[[History], Report]:
    """Who makes the report of a run of this command."""
    reporters: dict[str, Callable[[History], Report]] = {
        "verify": lambda history: build_report(history, judge_verify(history)),
        "restore": lambda history: build_report(history, judge_restore(history)),
        "drill restore": restore_drill_report,
        "drill failover": failover_report,
    }
    found = [reporter for begin, reporter in reporters.items() if command.startswith(begin)]
    return found[0] if found else lambda history: build_report(history, judge_release(history))


def _run_path(home: str, run: str | None) -> Path:
    runs = home_at(home).runs
    known = sorted(path.parent for path in runs.glob("*/report.json"))
    if run is None:
        if not known:
            raise UsageError("there is no report yet", because=f"{runs} is empty", way_out="holdfast verify")
        return known[-1]
    for path in (Path(run), runs / run):
        if (path / "run.json").is_file():
            return path
    raise UsageError(
        f"there is no run {run}",
        because=f"known: {', '.join(path.name for path in known[-5:]) or 'none'}",
        way_out="name one of those, or the path of a run's folder",
    )
