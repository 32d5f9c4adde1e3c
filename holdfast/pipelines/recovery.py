"""backup, restore: the commands of disaster recovery, as functions."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from holdfast.errors import Refused, UsageError
from holdfast.infra.bluegreen.lock import locked
from holdfast.infra.bluegreen.page import said
from holdfast.infra.home import Home, home_at
from holdfast.infra.recovery.backup import Say, prune, take_backup
from holdfast.infra.recovery.context import HERE
from holdfast.infra.recovery.desk import Restored, RestoreDesk, open_restore
from holdfast.infra.recovery.manifest import Backup, find_backup, list_backups
from holdfast.infra.recovery.stores import OwnStores, Stores
from holdfast.infra.release import Release
from holdfast.infra.target import Target
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Journal, nothing
from holdfast.migrations.schema import AlembicSchema
from holdfast.pipelines.compose import StackFile, find_stack, keep_stack
from holdfast.pipelines.progress import Progress
from holdfast.pipelines.recovery_gates import judge_restore
from holdfast.pipelines.reports import write_run_report
from holdfast.pipelines.targets import STORES, running_target
from holdfast.run import Run, open_run
from holdfast.timeline import read_events

BACKUPS = "backups"


class BackupLine(msgspec.Struct, frozen=True, kw_only=True):
    """A backup in a list. `at` is the instant that a restore goes back to (Unix seconds), `size` bytes."""

    id: str
    stack: str
    target: str
    at: float
    seconds: float
    size: int
    rows: int
    keys: int
    revision: str
    path: str


class RestoreDone(msgspec.Struct, frozen=True, kw_only=True):
    """How a restore ended, how long it took, and where its evidence is."""

    result: Restored
    seconds: float
    run: str
    report: str


def backup(
    stack: str | None, home: str, *, to: str | None = None, keep: int | None = None, quiet: bool = False
) -> tuple[BackupLine, list[str]]:
    """Back the stores of a stack up; returns the backup and the ids of the old ones that were removed."""
    if keep is not None and keep < 1:
        raise UsageError("--keep must be at least 1", because="a backup was just asked for", way_out="--keep 7")
    _, target = running_target(stack, home, parts=(STORES,))
    folder, place = backups_folder(target.home, to), where_it_runs(target)
    taken = take_backup(target.stack, stores_at(target), folder, target=place, say=teller(quiet))
    removed = prune(folder, keep, stack=target.stack.name) if keep else []
    return describe(taken.backup), removed


def backups(home: str, *, to: str | None = None) -> list[BackupLine]:
    """The complete backups, oldest first."""
    return [describe(found) for found in list_backups(backups_folder(home_at(home), to))]


def restore(
    stack: str | None, home: str, name: str, to: str, *, replace: bool = False, source: str | None = None,
    quiet: bool = False,
) -> RestoreDone:  # fmt: skip
    """Restore a backup into a new home, or, with `replace`, in place of what is `here`."""
    found = find_backup(name, backups_folder(home_at(home), source))
    _refuse_unsaid(to, replace)
    return _record(stack, home, f"restore {found.id}", to, lambda desk: desk.restore(found, to), quiet=quiet)


def restore_verb(stack: str | None, home: str, verb: str, *, quiet: bool = False) -> RestoreDone:
    """resume, undo or finish."""
    verbs: dict[str, Callable[[RestoreDesk], Restored]] = {
        "resume": RestoreDesk.resume,
        "undo": RestoreDesk.undo,
        "finish": RestoreDesk.finish,
    }
    operation = open_restore(home_at(home))
    to = str(operation.plan["to"]) if operation else ""
    return _record(stack, home, f"restore --{verb}", to, verbs[verb], quiet=quiet)


def restore_steps(
    stack: str | None, home: str, name: str, to: str, *, source: str | None = None
) -> list[tuple[str, str, str]]:
    """The steps of a restore: name, what it does, how it is undone. Checks what can be checked; changes nothing."""
    found = find_backup(name, backups_folder(home_at(home), source))
    file, target = _target(stack, home, to)
    with TemporaryDirectory(prefix="holdfast-") as folder:
        run = open_run(Path(folder), command=f"restore {name} --dry-run", stack=target.stack.name)
        try:
            steps = _desk(file, target, run).dry_run(found, to)
        finally:
            run.close()
    return [(s.name, said(s.act.__doc__), "" if s.undo is nothing else said(s.undo.__doc__)) for s in steps]


def backups_folder(home: Home, to: str | None) -> Path:
    """Where backups lie: the folder that was named, else the home's own."""
    return Path(to).resolve() if to else home.root / BACKUPS


def describe(found: Backup) -> BackupLine:
    """A backup as a line of a list."""
    facts = [part.facts for part in found.manifest.stores.values()]
    revisions = [revision for one in facts if (revision := getattr(one, "revision", None))]
    return BackupLine(
        id=found.id,
        stack=found.manifest.stack,
        target=found.manifest.target,
        at=found.manifest.at,
        seconds=found.manifest.ended - found.manifest.began,
        size=found.manifest.size,
        rows=sum(getattr(one, "rows", 0) for one in facts),
        keys=sum(getattr(one, "keys", 0) + getattr(one, "expiring", 0) for one in facts),
        revision=", ".join(revisions),
        path=str(found.path),
    )


def stores_at(target: Target) -> Stores:
    """Where a target's stores are reached."""
    if isinstance(target, LocalTarget):
        return OwnStores(target.provision)
    from holdfast.infra.targets.cluster.target import ClusterTarget

    assert isinstance(target, ClusterTarget)  # noqa: S101 - there is no third kind
    return target.provision


def where_it_runs(target: Target) -> str:
    """The word for a target in a manifest."""
    return "local" if isinstance(target, LocalTarget) else "cluster"


def teller(quiet: bool) -> Say:
    """Progress on stderr, a line a message."""
    began = time.monotonic()

    def say(text: str) -> None:
        if not quiet:
            print(f"{time.monotonic() - began:7.1f} s  {text}", file=sys.stderr, flush=True)

    return say


@dataclass
class LiveSchema:
    """Brings a database to the schema that the live release needs, by the stack's own migrations."""

    file: StackFile
    target: Target

    def fit(self, dsn: str) -> None:
        """Expand the database where the live release is newer; a database that is too new for it is refused."""
        migrations, release = self.target.stack.migrations, self._live()
        if migrations is None or release is None:
            return
        schema, tolerated = AlembicSchema(self.file.folder(migrations.folder), dsn), release.manifest.schema_range
        schema.check(tolerated.oldest, tolerated.newest)
        schema.expand(tolerated.newest)

    def _live(self) -> Release | None:
        service = self.target.stack.edge.service
        color = self.target.live().live(service)
        return self.target.release_in(service, color) if color else None


def _refuse_unsaid(to: str, replace: bool) -> None:
    """What replaces live data must say so, and what does not must not."""
    if to == HERE and not replace:
        raise Refused(
            "a restore here replaces what is there now",
            because="what was written after the backup would not be seen any more",
            way_out="say so: --to here --replace (it is kept until `holdfast restore --finish`); or --to a new folder",
        )
    if replace and to != HERE:
        raise UsageError(
            "--replace goes with --to here", because=f"--to {to} is a new home", way_out="leave one of the two out"
        )


def _target(stack: str | None, home: str, to: str) -> tuple[StackFile, Target]:
    """The stack here. A restore into a new home asks nothing of it, and works where it is lost."""
    if to == HERE:
        return running_target(stack, home, parts=(STORES,))
    at = home_at(home)
    file = find_stack(stack, at)
    return file, LocalTarget(file.read(), at)


def _desk(file: StackFile, target: Target, run: Run) -> RestoreDesk:
    return RestoreDesk(
        stack=target.stack,
        home=target.home,
        stores=stores_at(target),
        timeline=run.timeline,
        release_lock=partial(locked, Journal(target.home.journal), target),
        schema=LiveSchema(file, target),
        remember=lambda home: keep_stack(file, home),
    )


def _record(
    stack: str | None, home: str, command: str, to: str, act: Callable[[RestoreDesk], Restored], *, quiet: bool
) -> RestoreDone:
    """Run a restore as a run of its own, with a report whether it ends well or not."""
    file, target = _target(stack, home, to)
    began = time.monotonic()
    with _run_of(target, command, quiet) as run:
        result = act(_desk(file, target, run))
        run.timeline.point("result", state=result.state, version=result.backup)
    seconds = time.monotonic() - began
    return RestoreDone(result=result, seconds=seconds, run=run.id, report=str(run.path / "report.html"))


@contextmanager
def _run_of(target: Target, command: str, quiet: bool) -> Iterator[Run]:
    """A run with progress and, at its end, a report; a command that was refused before it did anything leaves none."""
    fresh = not target.home.root.exists()
    run = open_run(target.home.make().runs, command=command, stack=target.stack.name)
    try:
        with Progress(quiet=quiet) as progress:
            run.timeline.listen(progress)
            yield run
    finally:
        run.close()
        if read_events(run.path / "timeline.jsonl"):
            write_run_report(run.path, judge_restore)
        else:
            shutil.rmtree(target.home.root if fresh else run.path, ignore_errors=True)
