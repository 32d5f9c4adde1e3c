"""release build, deploy, rollback, promote, abort, resume, history: the commands of a release, as functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from holdfast.errors import Refused, UsageError
from holdfast.infra.bluegreen.operations import Desk, Result
from holdfast.infra.home import home_at
from holdfast.infra.release import Release, build_release, list_releases
from holdfast.infra.stack import load_stack
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Journal
from holdfast.pipelines.compose import content_folder, open_desk, open_target
from holdfast.pipelines.progress import Progress
from holdfast.pipelines.reports import judge_release, write_run_report
from holdfast.run import open_run

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """How an operation ended, and where its evidence is."""

    result: Result
    run: str
    report: str


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of the journal. `outcome` is None while it is open; `began` is Unix seconds."""

    name: str
    version: str
    began: float
    outcome: str | None
    because: str


def build(stack: str, home: str, version: str, *, source: str | None = None, plant: str = "") -> Release:
    """Build a release from a folder, by default the stack's own."""
    folder = Path(source) if source else content_folder(load_stack(stack).services_from)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {source}", because="--from names a folder", way_out="check the path")
    return build_release(version, folder, home_at(home).make().releases, plant=plant)


def built_releases(home: str) -> list[Release]:
    """All built releases, oldest first."""
    folder = home_at(home).releases
    return list_releases(folder) if folder.exists() else []


def deploy(
    stack: str,
    home: str,
    version: str,
    *,
    services: Sequence[str] = (),
    until: str | None = None,
    hold_s: float | None = None,
    shares: Sequence[int] = (),
    quiet: bool = False,
) -> Done:
    """Ship a release. Raises GateFailed (1) or GateUnknown (3) after everything was undone, Refused (4) before."""
    return _record(
        stack,
        home,
        f"deploy {version}",
        lambda desk: desk.deploy(version, services=services, until=until, hold_s=hold_s, shares=shares),
        quiet=quiet,
    )


def operate(stack: str, home: str, verb: str, *, quiet: bool = False) -> Done:
    """rollback, promote, abort, abort --set-aside or resume."""
    verbs: dict[str, Callable[[Desk], Result]] = {
        "rollback": Desk.rollback,
        "promote": Desk.promote,
        "abort": Desk.abort,
        "abort --set-aside": lambda desk: desk.abort(set_aside=True),
        "resume": Desk.resume,
    }
    return _record(stack, home, verb, verbs[verb], quiet=quiet)


def dry_run_steps(
    stack: str, home: str, version: str, services: Sequence[str], shares: Sequence[int] = ()
) -> list[tuple[str, str, str]]:
    """The steps of a deploy: name, what it does, how it is undone."""
    target = _running_target(stack, home)
    run = open_run(target.home.runs, command=f"deploy {version} --dry-run", stack=stack)
    try:
        return open_desk(target, run).dry_run(version, services, shares)
    finally:
        run.close()


def operation_history(home: str) -> list[Past]:
    """The operations of a stack, oldest first."""
    folder = home_at(home).journal
    if not folder.exists():
        return []
    return [
        Past(
            name=one.name,
            version=str(one.plan.get("version", "")),
            began=one.began,
            outcome=one.outcome,
            because=one.because,
        )
        for one in Journal(folder).operations()
    ]


def duration(text: str) -> float:
    """Read `90`, `90s`, `10m`, `1h` or `2d` as seconds. Raises UsageError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not found:
        raise UsageError(f"{text!r} is not a time", because="a time is like 90s, 10m or 1h", way_out="write it so")
    return float(found[1]) * UNITS[found[2]]


def _record(stack: str, home: str, command: str, act: Callable[[Desk], Result], *, quiet: bool) -> Done:
    """Run an operation as a run of its own, with a report whether it ends well or not."""
    target = _running_target(stack, home)
    run = open_run(target.home.runs, command=command, stack=stack)
    try:
        with Progress(quiet=quiet) as progress:
            run.timeline.listen(progress)
            result = act(open_desk(target, run))
    finally:
        run.close()
        report = write_run_report(run.path, judge_release)
    return Done(result=result, run=run.id, report=str(report))


def _running_target(stack: str, home: str) -> LocalTarget:
    """The target, with its supervisor there; refuses where the stack is not up."""
    target = open_target(stack, home_at(home))
    if not target.home.root.exists():
        raise Refused("the stack is not up", because=f"there is no {home}", way_out="holdfast up")
    target.supervisor.ensure()
    if not target.is_up():
        raise Refused(
            "the stack is not up", because="its edge or a store does not run", way_out="holdfast up, then this again"
        )
    return target
