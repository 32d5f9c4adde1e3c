"""What a person asks for: restore, resume, undo, finish. Each takes the locks and says what a kill left."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from holdfast.children import identify
from holdfast.errors import EnvironmentFailed, HoldfastError, Interrupted, Refused
from holdfast.infra.home import Home, home_at
from holdfast.infra.recovery.beside import free_databases
from holdfast.infra.recovery.context import HERE, AnySchema, RestoreContext, RestorePlan, Schema
from holdfast.infra.recovery.fresh import refuse_used
from holdfast.infra.recovery.manifest import Backup, check_files
from holdfast.infra.recovery.restore import DISCARD, PROTOCOLS, SWAP
from holdfast.infra.recovery.steps import check_fits
from holdfast.infra.recovery.stores import Stores
from holdfast.infra.stack import Stack
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Journal, Operation, Step, back, walk
from holdfast.timeline import Timeline

Lock = Callable[[str], AbstractContextManager[object]]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """How a restore ended: `done`, `held` (in place: what was there is kept), or `undone`."""

    operation: str
    state: str
    backup: str
    to: str


@dataclass
class RestoreDesk:
    """The restores of one stack. `release_lock`: no release goes on while a restore in place does."""

    stack: Stack
    home: Home
    stores: Stores
    timeline: Timeline
    release_lock: Lock
    schema: Schema = field(default_factory=AnySchema)
    remember: Callable[[Home], None] = lambda home: None

    @property
    def journal(self) -> Journal:
        """A journal of its own: a release's commands do not go on with a restore."""
        return Journal(journal_folder(self.home))

    # -- what a person asks for ------------------------------------------------------------------------------------

    def restore(self, backup: Backup, to: str) -> Restored:
        """Restore into a new home, or in place of what is `here`. What fails is undone; Refused before anything."""
        with self._locks(f"holdfast restore {backup.id}", to) as journal:
            self._refuse_open()
            plan = self._plan(backup, to)
            kind = "restore-here" if to == HERE else "restore-new"
            return self._run(journal.begin(kind, msgspec.to_builtins(plan)), until=SWAP)

    def resume(self) -> Restored:
        """Go on with a restore that was cut off; one that had turned back goes on back."""
        operation = self._open("resume")
        with self._locks("holdfast restore --resume", str(operation.plan["to"])) as journal:
            operation = self._open("resume")
            operation.fence(journal.token)
            if operation.paused_at:
                return self._result(operation, "held")
            return self._run(operation, until=None if operation.started(DISCARD) else SWAP)

    def undo(self) -> Restored:
        """Go back: what was there before is there again, what was made for the restore is gone."""
        operation = self._open("undo")
        with self._locks("holdfast restore --undo", str(operation.plan["to"])) as journal:
            operation = self._open("undo")
            operation.fence(journal.token)
            if operation.started(DISCARD):
                self._run(operation)
                raise Refused(
                    "there is nothing to go back to",
                    because="what the restore had replaced was being dropped; that has been completed",
                    way_out="restore another backup: holdfast backup --list",
                )
            return self._undo(operation, "holdfast restore --undo")

    def finish(self) -> Restored:
        """Drop what a restore in place had replaced."""
        operation = self._open("finish")
        with self._locks("holdfast restore --finish", str(operation.plan["to"])) as journal:
            operation = self._open("finish")
            operation.fence(journal.token)
            if not operation.paused_at and not operation.started(DISCARD):
                raise _cut_off(operation)
            return self._run(operation)

    def dry_run(self, backup: Backup, to: str) -> tuple[Step[RestoreContext], ...]:
        """The steps of a restore, after every check that changes nothing."""
        self._refuse_open()
        check_files(backup)
        self._plan(backup, to)
        return PROTOCOLS["restore-here" if to == HERE else "restore-new"]

    # -- inside ----------------------------------------------------------------------------------------------------

    def _plan(self, backup: Backup, to: str) -> RestorePlan:
        check_fits(backup, self.stack)
        path, letters = str(backup.path.resolve()), secrets.token_hex(4)
        plan = RestorePlan(backup=path, id=backup.id, stack=self.stack.name, to=to, letters=letters)
        if to == HERE:
            return msgspec.structs.replace(plan, free=free_databases(self.stack, self.stores, backup))
        home = home_at(to)
        made = not home.root.exists()
        refuse_used(home)
        return msgspec.structs.replace(plan, to=str(home.root), made_root=made)

    def _run(self, operation: Operation, *, until: str | None = None) -> Restored:
        """Walk on from where the journal says; on an error undo everything that was started."""
        if operation.turned_back:
            return self._undo(operation, operation.because)
        context, steps = self._context(operation), PROTOCOLS[operation.kind]
        try:
            complete = walk(steps, context, operation, until=until, around=context.around)
        except KeyboardInterrupt:
            self._give_up(operation, context, "Ctrl-C")
            raise Interrupted("interrupted", because="Ctrl-C", way_out="what was begun has been undone") from None
        except Exception as error:  # whatever it is, a restore must not stay half done because of it
            self._give_up(operation, context, _brief(error))
            raise
        if not complete:
            return self._result(operation, "held")
        operation.finish("done")
        return self._result(operation, "done")

    def _give_up(self, operation: Operation, context: RestoreContext, because: str) -> None:
        if operation.started(DISCARD):
            return
        try:
            self._undo(operation, because, context)
        except Exception as error:
            raise EnvironmentFailed(
                f"{context.label} failed, and could not be undone completely",
                because=f"{because}; then: {_brief(error)}",
                way_out="correct the cause, then run `holdfast restore --undo`",
            ) from error

    def _undo(self, operation: Operation, because: str, context: RestoreContext | None = None) -> Restored:
        context = context or self._context(operation)
        self.timeline.point("note", text=f"undoing {context.label}: {because}")
        back(PROTOCOLS[operation.kind], context, operation, because=because, around=context.around)
        operation.finish("undone", because=because)
        return self._result(operation, "undone")

    def _context(self, operation: Operation) -> RestoreContext:
        plan = msgspec.convert(operation.plan, RestorePlan)
        new = LocalTarget(self.stack, home_at(plan.to), owner=identify(os.getpid())) if plan.to != HERE else None
        return RestoreContext(
            plan=plan,
            stack=self.stack,
            operation=operation,
            timeline=self.timeline,
            stores=self.stores,
            home=self.home,
            target=new,
            schema=self.schema,
            remember=self.remember,
        )

    def _result(self, operation: Operation, state: str) -> Restored:
        plan = msgspec.convert(operation.plan, RestorePlan)
        return Restored(operation=operation.name, state=state, backup=plan.id, to=plan.to)

    def _open(self, verb: str) -> Operation:
        operation = open_restore(self.home)
        if operation is None:
            raise Refused(
                f"there is nothing to {verb}", because="no restore is open", way_out="holdfast restore BACKUP --to HOME"
            )
        return operation

    def _refuse_open(self) -> None:
        operation = open_restore(self.home)
        if operation is not None:
            raise _cut_off(operation)

    @contextmanager
    def _locks(self, holder: str, to: str) -> Iterator[Journal]:
        journal = self.journal
        with ExitStack() as held:
            try:
                held.enter_context(journal.lock(holder))
            except Refused as error:
                raise Refused(
                    error.what,
                    because=error.because,
                    way_out="wait for it, or end that process and run `holdfast restore --resume` or `--undo`",
                ) from error
            if to == HERE:
                held.enter_context(self.release_lock(holder))
            yield journal


def journal_folder(home: Home) -> Path:
    """Where a home's restores are journalled."""
    return home.root / "recovery"


def open_restore(home: Home) -> Operation | None:
    """The restore of a home that has not ended. Raises Refused where its journal cannot be read."""
    folder = journal_folder(home)
    try:
        return Journal(folder).open_operation() if folder.exists() else None
    except Refused as error:
        raise Refused(
            error.what,
            because=error.because,
            way_out=f"move that file out of {folder}; a database NAME_before_… holds what was replaced, and one "
            "NAME_restore_… what was not put in place: rename or drop them by hand",
        ) from error


def describe_restore(operation: Operation) -> str:
    """Where an open restore stands."""
    if operation.paused_at:
        return "in place; what was there before is kept"
    last = operation.lines[-1]
    return f"cut off, last written: {last.mark.value} {last.step}".rstrip()


def _cut_off(operation: Operation) -> Refused:
    ways = "`holdfast restore --finish` drops what it replaced" if operation.paused_at else "`--resume` goes on with it"
    return Refused(
        f"restore {operation.plan.get('id')} is open",
        because=describe_restore(operation),
        way_out=f"{ways}, `holdfast restore --undo` goes back",
    )


def _brief(error: Exception) -> str:
    """What happened and why, on one line."""
    parts = (error.what, error.because) if isinstance(error, HoldfastError) else (str(error) or type(error).__name__,)
    return ": ".join(part.splitlines()[0] for part in parts if part)
