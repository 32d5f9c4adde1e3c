"""The restore protocols as data: the runner, dry run, resume, undo and the crash tests walk these tuples."""

from __future__ import annotations

from holdfast.infra.recovery import beside, fresh
from holdfast.infra.recovery.context import RestoreContext
from holdfast.infra.recovery.steps import check_backup
from holdfast.journal import Step, nothing

SWAP = "swap"
"""After this step a restore in place waits for a person: `--finish` or `--undo`."""
DISCARD = "discard"
"""From this step's intent on there is no way back: what was replaced is gone."""

RESTORE_NEW: tuple[Step[RestoreContext], ...] = (
    Step("check", act=check_backup, undo=nothing),
    Step("make-home", act=fresh.make_home, undo=fresh.remove_home),
    Step("start-stores", act=fresh.start_stores, undo=fresh.stop_stores),
    Step("load", act=fresh.load_stores, undo=nothing),
    Step("answer", act=fresh.first_answer, undo=nothing),
    Step("verify", act=fresh.verify_stores, undo=nothing),
    Step("settle", act=fresh.settle, undo=nothing),
)
"""Into a new home: nothing that runs is touched."""

RESTORE_HERE: tuple[Step[RestoreContext], ...] = (
    Step("check", act=check_backup, undo=nothing),
    Step("load-beside", act=beside.load_beside, undo=beside.drop_beside),
    Step("verify-beside", act=beside.verify_beside, undo=nothing),
    Step("fit-schema", act=beside.fit_schema, undo=nothing),
    Step(SWAP, act=beside.swap, undo=beside.swap_back),
    Step(DISCARD, act=beside.discard, undo=nothing),
)
"""In place of what is there: beside it until it is proven, then by renames; what was there is kept until `--finish`."""

PROTOCOLS: dict[str, tuple[Step[RestoreContext], ...]] = {"restore-new": RESTORE_NEW, "restore-here": RESTORE_HERE}
