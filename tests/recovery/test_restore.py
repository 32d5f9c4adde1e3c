"""A restore into a new home, and in place: what comes back is what was there, and there is a way back."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import httpx
import psycopg
import pytest
from recovery.restoring import Restoring, acting
from support.stack import Sparkle, nothing_left, refusal

from holdfast.children import identify
from holdfast.errors import GateFailed, Interrupted, Refused
from holdfast.infra.home import Home
from holdfast.infra.recovery.backup import Taken
from holdfast.infra.recovery.context import RestoreContext
from holdfast.infra.recovery.restore import PROTOCOLS, RESTORE_HERE, RESTORE_NEW
from holdfast.infra.recovery.rows import database_differences, read_facts
from holdfast.infra.recovery.stores import OwnStores
from holdfast.infra.stack import load_stack
from holdfast.infra.targets.kept import Where, keep_where, kept_where
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Step
from holdfast.pipelines import recovery
from holdfast.pipelines.compose import find_stack
from holdfast.pipelines.recovery import LiveSchema
from holdfast.pipelines.status import restore_status


@pytest.fixture
def restoring(stack: Sparkle, taken: Taken, tmp_path: Path) -> Restoring:
    return acting(stack, taken.backup, tmp_path)


# -- into a new home ---------------------------------------------------------------------------------------------------


def test_a_new_home_can_be_brought_up_with_the_data(restoring: Restoring, taken: Taken, tmp_path: Path) -> None:
    home = Home(tmp_path / "new")
    assert restoring.desk().restore(taken.backup, str(home.root)).state == "done"
    nothing_left(home.root)
    target = LocalTarget(restoring.stack.stack, home, owner=identify(os.getpid()))
    target.up()
    try:
        assert (
            database_differences(taken.databases["postgres"], read_facts(target.provision.store_dsn("postgres"))) == []
        )
        restoring.same_keys(OwnStores(target.provision))
        with psycopg.connect(target.provision.store_dsn("postgres")) as connection:
            row = connection.execute('INSERT INTO "Odd name"."Things" (day) VALUES (now()) RETURNING id').fetchone()
            assert row == (301,), "no id is given twice"
            assert connection.execute("SHOW search_path").fetchone() == ('public, "Odd name"',)
            granted = connection.execute("SELECT has_table_privilege('reader', '\"Odd name\".\"Things\"', 'select')")
            assert granted.fetchone() == (True,)
    finally:
        target.down()
    nothing_left(home.root)


def test_a_home_with_data_or_a_running_stack_is_refused_and_left_alone(restoring: Restoring, tmp_path: Path) -> None:
    used = tmp_path / "used"
    (used / "data" / "postgres").mkdir(parents=True)
    for to in (used, restoring.stack.home.root):
        before = sorted(to.iterdir())
        error = refusal(lambda to=to: restoring.desk().restore(restoring.backup, str(to)))  # type: ignore[misc]
        assert "is in use" in error.what
        assert error.because
        assert "--to here --replace" in error.way_out
        assert sorted(to.iterdir()) == before


def test_a_home_whose_stack_is_on_a_cluster_is_refused(restoring: Restoring, tmp_path: Path) -> None:
    home = Home(tmp_path / "there")
    keep_where(Where(target="cluster", environment="staging", up=True), home)
    error = refusal(lambda: restoring.desk().restore(restoring.backup, str(home.root)))
    assert "its stack is up on the cluster as staging" in error.because
    assert kept_where(home) is not None


def test_a_restore_that_fails_leaves_neither_a_process_nor_a_folder(
    restoring: Restoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(context: RestoreContext) -> None:
        raise ZeroDivisionError("a bug in a step")

    steps = tuple(Step(s.name, broken if s.name == "verify" else s.act, s.undo) for s in RESTORE_NEW)
    monkeypatch.setitem(PROTOCOLS, "restore-new", steps)
    with pytest.raises(ZeroDivisionError):
        restoring.desk().restore(restoring.backup, str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    nothing_left(tmp_path / "new")
    assert restoring.outcome() == "undone"


def test_ctrl_c_undoes_a_restore(restoring: Restoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(context: RestoreContext) -> None:
        raise KeyboardInterrupt

    steps = tuple(Step(s.name, interrupted if s.name == "answer" else s.act, s.undo) for s in RESTORE_NEW)
    monkeypatch.setitem(PROTOCOLS, "restore-new", steps)
    with pytest.raises(Interrupted):
        restoring.desk().restore(restoring.backup, str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    assert restoring.outcome() == "undone"


def test_a_machine_with_nothing_but_the_backup_gets_its_stack_back(
    taken: Taken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fresh").mkdir()
    monkeypatch.chdir(tmp_path / "fresh")
    done = recovery.restore("sparkle", ".holdfast", str(taken.backup.path), ".holdfast", quiet=True)
    assert done.result.state == "done"
    assert Path(done.report).is_file()
    target = LocalTarget(load_stack("sparkle"), Home(tmp_path / "fresh" / ".holdfast"), owner=identify(os.getpid()))
    target.up()
    try:
        found = read_facts(target.provision.store_dsn("postgres"))
        assert database_differences(taken.databases["postgres"], found) == []
    finally:
        target.down()


# -- in place ----------------------------------------------------------------------------------------------------------


def test_in_place_the_data_go_back_and_come_again_by_undo(restoring: Restoring) -> None:
    restoring.change()
    desk = restoring.desk()
    assert desk.restore(restoring.backup, "here").state == "held"
    restoring.as_backed_up()
    assert restoring.stack.chat().status_code == 200
    assert "in place; what was there before is kept" in restore_status(restoring.home)
    with pytest.raises(Refused, match="is open"):
        desk.restore(restoring.backup, "here")
    assert desk.undo().state == "undone"
    assert restore_status(restoring.home) == ""
    restoring.as_changed()
    assert restoring.stack.chat().status_code == 200


def test_finish_drops_what_was_replaced_and_ends_the_way_back(restoring: Restoring) -> None:
    restoring.change()
    desk = restoring.desk()
    desk.restore(restoring.backup, "here")
    assert desk.finish().state == "done"
    restoring.as_backed_up()
    for verb in (desk.undo, desk.finish, desk.resume):
        assert "there is nothing to" in refusal(verb).what


def test_a_database_that_was_dropped_comes_back_in_place(restoring: Restoring) -> None:
    dsn = restoring.stores.store_dsn("postgres")
    with psycopg.connect(dsn.rpartition("/")[0] + "/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE sparkle WITH (FORCE)")
    desk = restoring.desk()
    desk.restore(restoring.backup, "here")
    restoring.as_backed_up()
    desk.finish()


def test_services_stay_up_while_a_restore_in_place_goes_on(restoring: Restoring) -> None:
    answers: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=10) as client:
            while not stop.wait(0.05):
                answers.append(client.get(f"{restoring.stack.url}/v1/whoami").status_code)

    users = threading.Thread(target=ask)
    users.start()
    try:
        desk = restoring.desk()
        desk.restore(restoring.backup, "here")
        desk.finish()
    finally:
        stop.set()
        users.join(20)
    assert set(answers) == {200}
    assert len(answers) > 5


def test_no_release_goes_on_beside_a_restore_in_place(restoring: Restoring) -> None:
    with restoring.stack.journal.lock("holdfast deploy v2"):
        error = refusal(lambda: restoring.desk().restore(restoring.backup, "here"))
    assert "holdfast deploy v2" in error.because
    assert restoring.outcome() is None


def test_an_older_schema_is_brought_to_the_live_releases_and_a_newer_one_is_refused(
    restoring: Restoring, stack: Sparkle
) -> None:
    desk = restoring.desk()
    desk.schema = LiveSchema(find_stack("sparkle", stack.home), stack.target)
    context = desk._context(restoring.operation("restore-here"))
    dsn = restoring.stores.store_dsn("postgres")
    try:
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        assert "9999" in refusal(lambda: context.schema.fit(dsn)).what
    finally:
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0001'")
    context.schema.fit(dsn)
    desk.undo()


def test_a_difference_is_found_before_anything_is_swapped(
    restoring: Restoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(context: RestoreContext) -> None:
        RESTORE_HERE[1].act(context)
        dsn = restoring.stores.store_dsn("postgres") + f"_restore_{context.plan.letters}"
        with psycopg.connect(dsn) as connection:
            connection.execute("DELETE FROM twice WHERE word = 'other'")

    steps = tuple(Step(s.name, changing if s.name == "load-beside" else s.act, s.undo) for s in RESTORE_HERE)
    monkeypatch.setitem(PROTOCOLS, "restore-here", steps)
    restoring.change()
    with pytest.raises(GateFailed) as caught:
        restoring.desk().restore(restoring.backup, "here")
    assert "public.twice has 2 rows, and had 3" in caught.value.because
    restoring.as_changed()
    assert restoring.outcome() == "undone"


def test_a_restore_that_another_home_holds_is_not_touched(restoring: Restoring, tmp_path: Path) -> None:
    restoring.change()
    first = restoring.desk()
    first.restore(restoring.backup, "here")
    other = acting(restoring.stack, restoring.backup, tmp_path / "other").desk()
    other.restore(restoring.backup, "here")
    other.undo()
    restoring.as_backed_up()
    first.undo()
    restoring.as_changed()


def test_a_corrupt_journal_is_named_with_a_way_out(restoring: Restoring) -> None:
    restoring.operation("restore-here")
    (path,) = (restoring.home.root / "recovery").glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"begin", b"bigin"))
    desk = restoring.desk()
    for act in (desk.resume, desk.undo, desk.finish, lambda: desk.restore(restoring.backup, "here")):
        error = refusal(act)
        assert "corrupt at line 1" in error.what
        assert "move that file" in error.way_out


def test_a_redis_with_no_empty_number_is_refused_in_place(restoring: Restoring) -> None:
    with restoring.redis_numbers(range(1, 16)):
        error = refusal(lambda: restoring.desk().restore(restoring.backup, "here"))
    assert "redis cannot be replaced in place" in error.what
    assert "--to HOME" in error.way_out


def test_a_dry_run_checks_and_changes_nothing(restoring: Restoring, tmp_path: Path) -> None:
    assert restoring.desk().dry_run(restoring.backup, "here") == RESTORE_HERE
    assert restoring.desk().dry_run(restoring.backup, str(tmp_path / "new")) == RESTORE_NEW
    assert not (tmp_path / "new").exists()
    assert restoring.outcome() is None
    (restoring.backup.path / "redis.rdb").write_bytes(b"x")
    assert "is damaged" in refusal(lambda: restoring.desk().dry_run(restoring.backup, "here")).what
