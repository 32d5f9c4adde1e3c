"""SIGKILL of a restore before and after each step and each undo: it is resumed or undone, and nothing is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from recovery.restore_child import Spec, run_child
from recovery.restoring import Restoring, acting
from support.deploy_child import Point
from support.sample import sample
from support.stack import Sparkle, nothing_left, refusal

from holdfast.children import identify
from holdfast.infra.home import Home
from holdfast.infra.recovery.backup import Taken
from holdfast.infra.recovery.context import RestoreContext
from holdfast.infra.recovery.restore import DISCARD, RESTORE_HERE, RESTORE_NEW, SWAP
from holdfast.infra.recovery.rows import database_differences, read_facts
from holdfast.infra.recovery.stores import OwnStores
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Step, nothing

pytestmark = [pytest.mark.crash, pytest.mark.slow]


def around(steps: Sequence[Step[RestoreContext]], *words: str) -> list[Point]:
    return [Point(at=at, step=step.name) for step in steps for at in words]


def undoable(steps: Sequence[Step[RestoreContext]]) -> list[Step[RestoreContext]]:
    return [step for step in steps if step.undo is not nothing]


def cases(points: list[Point], count: int, *thens: str) -> list[pytest.param]:  # type: ignore[valid-type]
    both = [(point, then) for point in points for then in thens]
    return [pytest.param(point, then, id=f"{point}-then-{then}") for point, then in sample(both, count)]


ACTS = ("before", "after")
UNDOS = ("undo-before", "undo-after")
BEFORE_DISCARD = [step for step in RESTORE_HERE if step.name != DISCARD]
NEW = [Point(at="begin"), *around(RESTORE_NEW, *ACTS)]
HERE = [Point(at="begin"), *around(BEFORE_DISCARD, *ACTS), Point(at="done", step=SWAP), Point(at="paused")]


@pytest.fixture
def restoring(stack: Sparkle, taken: Taken, tmp_path: Path) -> Restoring:
    return acting(stack, taken.backup, tmp_path)


def killed(restoring: Restoring, to: str, point: Point, verb: str = "restore") -> None:
    spec = Spec(
        stack_home=str(restoring.stack.home.root),
        home=str(restoring.home.root),
        backup=str(restoring.backup.path),
        to=to,
        point=point,
        verb=verb,
    )
    child = run_child(spec)
    assert child.returncode == -signal.SIGKILL, child.stdout + child.stderr


def comes_up_with_the_data(restoring: Restoring, taken: Taken, home: Home) -> None:
    target = LocalTarget(restoring.stack.stack, home, owner=identify(os.getpid()))
    target.up()
    try:
        found = read_facts(target.provision.store_dsn("postgres"))
        assert database_differences(taken.databases["postgres"], found) == []
        restoring.same_keys(OwnStores(target.provision))
    finally:
        target.down()
    nothing_left(home.root)


@pytest.mark.parametrize(("point", "then"), cases(NEW, 3, "resume", "undo"))
def test_a_restore_into_a_new_home_that_is_killed_is_resumed_or_undone(
    restoring: Restoring, taken: Taken, tmp_path: Path, point: Point, then: str
) -> None:
    home = Home(tmp_path / "new")
    killed(restoring, str(home.root), point)
    desk = restoring.desk()
    error = refusal(lambda: desk.restore(restoring.backup, str(tmp_path / "other")))
    assert "is open" in error.what
    assert "--resume" in error.way_out
    assert getattr(desk, then)().state == ("done" if then == "resume" else "undone")
    nothing_left(home.root)
    if then == "resume":
        comes_up_with_the_data(restoring, taken, home)
    else:
        assert not home.root.exists()


@pytest.mark.parametrize(("point", "then"), cases(around(undoable(RESTORE_NEW), *UNDOS), 1, "resume", "undo"))
def test_an_undo_of_a_new_home_that_is_killed_goes_on_back(
    restoring: Restoring, tmp_path: Path, point: Point, then: str
) -> None:
    home = Home(tmp_path / "new")
    killed(restoring, str(home.root), Point(at="after", step="verify"))
    killed(restoring, str(home.root), point, "undo")
    assert getattr(restoring.desk(), then)().state == "undone"
    assert not home.root.exists()
    nothing_left(home.root)


@pytest.mark.parametrize(("point", "then"), cases(HERE, 4, "resume", "undo"))
def test_a_restore_in_place_that_is_killed_is_resumed_or_undone(restoring: Restoring, point: Point, then: str) -> None:
    restoring.change()
    killed(restoring, "here", point)
    desk = restoring.desk()
    assert getattr(desk, then)().state == ("held" if then == "resume" else "undone")
    if then == "resume":
        restoring.as_backed_up()
        restoring.serves()
        desk.finish()
        restoring.as_backed_up()
    else:
        restoring.as_changed()
    restoring.nothing_beside()
    restoring.serves()


@pytest.mark.parametrize(("point", "then"), cases(around(undoable(RESTORE_HERE), *UNDOS), 2, "resume", "undo"))
def test_an_undo_in_place_that_is_killed_goes_on_back(restoring: Restoring, point: Point, then: str) -> None:
    restoring.change()
    restoring.desk().restore(restoring.backup, "here")
    killed(restoring, "here", point, "undo")
    assert getattr(restoring.desk(), then)().state == "undone"
    restoring.as_changed()
    restoring.nothing_beside()
    restoring.serves()


FINISH = [Point(at="before", step=DISCARD), Point(at="after", step=DISCARD), Point(at="done", step=DISCARD)]


@pytest.mark.parametrize(("point", "then"), cases(FINISH, 1, "resume", "finish", "undo"))
def test_a_finish_that_is_killed_only_goes_on(restoring: Restoring, point: Point, then: str) -> None:
    restoring.desk().restore(restoring.backup, "here")
    killed(restoring, "here", point, "finish")
    if then == "undo":
        assert "nothing to go back to" in refusal(restoring.desk().undo).what
    else:
        assert getattr(restoring.desk(), then)().state == "done"
    restoring.as_backed_up()
    restoring.nothing_beside()
    restoring.serves()
