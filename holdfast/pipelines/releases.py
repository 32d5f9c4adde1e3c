"""release build, deploy, rollback, promote, abort, resume, history: the commands of a release, as functions."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from holdfast.errors import UsageError
from holdfast.infra.bluegreen.operations import Desk, Result
from holdfast.infra.home import Home, home_at
from holdfast.infra.release import Manifest, Release, build_release, list_releases
from holdfast.infra.targets.kept import TargetName, where_of
from holdfast.journal import Journal
from holdfast.pipelines.compose import find_stack, open_desk
from holdfast.pipelines.progress import Progress
from holdfast.pipelines.reports import judge_release, write_run_report
from holdfast.pipelines.targets import ALL_PARTS, running_target
from holdfast.run import open_run
from holdfast.timeline import read_events

PINNED = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
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


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A built release. `image`: what it is on a cluster; empty where it runs on this machine only."""

    version: str
    digest: str
    path: str
    manifest: Manifest
    image: str = ""


def build(
    stack: str | None,
    home: str,
    version: str,
    *,
    source: str | None = None,
    plant: str = "",
    target: TargetName | None = None,
    image: str = "",
    quiet: bool = False,
) -> Built:
    """Build a release from a folder, by default the stack's own; for a cluster its image too.

    `image`: one that somebody has pushed, by its digest; without one it is built, and loaded into our own cluster.
    """
    at = home_at(home)
    if image and not PINNED.fullmatch(image):
        raise UsageError(
            f"{image} names no image for certain",
            because="a tag can be moved to another image, a digest cannot",
            way_out="name it as REGISTRY/NAME@sha256:… (docker inspect and crane digest print that)",
        )
    file, where = find_stack(stack, at), where_of(at, target="cluster" if image else target, looking=True)
    folder = Path(source) if source else file.folder(file.read().services_from)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {source}", because="--from names a folder", way_out="check the path")
    built = build_release(version, folder, at.make().releases, plant=plant)
    found = _image_of(built, at, image, quiet=quiet) if where.target == "cluster" else ""
    return Built(version=built.version, digest=built.digest, path=built.path, manifest=built.manifest, image=found)


def _image_of(release: Release, home: Home, named: str, *, quiet: bool) -> str:
    """The image of a release: the one that is named, one that is known already, else one built now."""
    from holdfast.infra.targets.cluster import images

    if named:
        images.keep(home, release, images.Image(reference=named))
    elif images.known(home, release) is None:
        images.build(home, release, lambda line: None if quiet else print(line, file=sys.stderr, flush=True))
    return images.require(home, release).reference


def built_releases(home: str) -> list[Release]:
    """All built releases, oldest first."""
    folder = home_at(home).releases
    return list_releases(folder) if folder.exists() else []


def deploy(
    stack: str | None,
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
        parts=ALL_PARTS,
    )


def operate(stack: str | None, home: str, verb: str, *, quiet: bool = False) -> Done:
    """rollback, promote, abort, abort --set-aside or resume."""
    verbs: dict[str, Callable[[Desk], Result]] = {
        "rollback": Desk.rollback,
        "promote": Desk.promote,
        "abort": Desk.abort,
        "abort --set-aside": lambda desk: desk.abort(set_aside=True),
        "resume": Desk.resume,
    }
    return _record(stack, home, verb, verbs[verb], quiet=quiet, parts=("edge",))


def dry_run_steps(
    stack: str | None,
    home: str,
    version: str,
    *,
    services: Sequence[str] = (),
    shares: Sequence[int] = (),
    until: str | None = None,
) -> list[tuple[str, str, str]]:
    """The steps of a deploy: name, what it does, how it is undone. Checks what `deploy` checks; leaves nothing."""
    file, target = running_target(stack, home, parts=ALL_PARTS)
    with TemporaryDirectory(prefix="holdfast-") as folder:
        run = open_run(Path(folder), command=f"deploy {version} --dry-run", stack=target.stack.name)
        try:
            return open_desk(file, target, run).dry_run(version, services, shares, until)
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


def _record(
    stack: str | None, home: str, command: str, act: Callable[[Desk], Result], *, quiet: bool, parts: Sequence[str]
) -> Done:
    """Run an operation as a run of its own, with a report whether it ends well or not.

    A command that was refused before it did anything leaves no run: there is nothing to report.
    """
    file, target = running_target(stack, home, parts=parts)
    run = open_run(target.home.runs, command=command, stack=target.stack.name)
    try:
        with Progress(quiet=quiet) as progress:
            run.timeline.listen(progress)
            result = act(open_desk(file, target, run))
            run.timeline.point("result", state=result.state, version=result.version)
    finally:
        run.close()
        report = _report(run.path)
    return Done(result=result, run=run.id, report=str(report or ""))


def _report(run: Path) -> Path | None:
    if not read_events(run / "timeline.jsonl"):
        shutil.rmtree(run)
        return None
    return write_run_report(run, judge_release)
