"""A backup is whole and checked, or not there at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from recovery.contents import KINDS
from support.deploy_child import child_environ
from support.small_disk import on_small_disk
from support.stack import Sparkle, wait_until

from holdfast.errors import EnvironmentFailed, ExitCode, Refused
from holdfast.infra.recovery.backup import Taken, prune, take_backup
from holdfast.infra.recovery.manifest import PostgresBackup, RedisBackup, check_files, list_backups
from holdfast.infra.recovery.stores import OwnStores

SLOW_BACKUP = """
import sys, time
from pathlib import Path
from support.stack import quick_stack
from holdfast.infra.home import Home
from holdfast.infra.recovery.backup import take_backup
from holdfast.infra.recovery.stores import OwnStores
from holdfast.infra.targets.local.target import LocalTarget
stack = quick_stack(1)
stores = OwnStores(LocalTarget(stack, Home(Path(sys.argv[1]))).provision)
def say(text):
    print(text, flush=True)
    time.sleep(60)
take_backup(stack, stores, Path(sys.argv[2]), say=say)
"""


def test_a_backup_holds_every_row_and_key_with_the_revision_and_the_versions(taken: Taken) -> None:
    manifest = taken.backup.manifest
    postgres, redis = manifest.stores["postgres"], manifest.stores["redis"]
    assert isinstance(postgres, PostgresBackup)
    assert isinstance(redis, RedisBackup)
    tables = postgres.facts.tables
    assert tables["Odd name.Things"].rows == 300
    assert tables["public.twice"].rows == 3
    assert {name: tables[name].rows for name in ("public.parts_low", "public.parts_high", "public.empty")} == {
        "public.parts_low": 10,
        "public.parts_high": 10,
        "public.empty": 0,
    }
    assert tables["pg_catalog.pg_largeobject"].rows == 1
    assert (postgres.facts.revision, postgres.facts.major, postgres.facts.roles) == ("0001", 18, ["reader"])
    assert postgres.facts.sequences["Odd name.Things_id_seq"] == 300
    assert "vector" in postgres.facts.extensions
    assert (redis.facts.keys, redis.facts.expiring) == (KINDS - 1, 1)
    assert manifest.began <= manifest.at <= manifest.ended
    check_files(taken.backup)


def test_a_backup_and_what_lies_in_it_belong_to_its_owner_alone(taken: Taken) -> None:
    paths = [taken.backup.path, *taken.backup.path.iterdir()]
    assert [path.name for path in paths if path.stat().st_mode & 0o077] == []


def test_no_password_stands_in_a_manifest(taken: Taken, stores: OwnStores) -> None:
    passwords = [stores.store_dsn(name).split("@")[0].rpartition(":")[2] for name in ("postgres", "redis")]
    text = (taken.backup.path / "manifest.json").read_text()
    assert all(len(password) > 8 and password not in text for password in passwords)


def test_the_newest_stay_and_those_of_other_stacks_are_left_alone(
    stack: Sparkle, stores: OwnStores, tmp_path: Path
) -> None:
    ids = [take_backup(stack.stack, stores, tmp_path, say=lambda text: None).backup.id for _ in range(3)]
    assert [backup.id for backup in list_backups(tmp_path)] == sorted(ids)
    assert prune(tmp_path, 1, stack="another") == []
    assert prune(tmp_path, 2, stack="sparkle") == sorted(ids)[:1]
    assert [backup.id for backup in list_backups(tmp_path)] == sorted(ids)[1:]
    assert {path.name for path in tmp_path.iterdir()} == set(sorted(ids)[1:])


def test_ctrl_c_leaves_no_half_backup(stack: Sparkle, stores: OwnStores, tmp_path: Path) -> None:
    def interrupted(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_backup(stack.stack, stores, tmp_path, say=interrupted)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_answer_leaves_no_half_backup(stack: Sparkle, tmp_path: Path) -> None:
    class Away(OwnStores):
        def store_url(self, store: str) -> str:
            return "redis://:x@127.0.0.1:1/0"

    with pytest.raises(EnvironmentFailed) as caught:
        take_backup(stack.stack, Away(stack.target.provision), tmp_path, say=lambda text: None)
    assert caught.value.because
    assert caught.value.way_out
    assert list(tmp_path.iterdir()) == []


ON_SMALL_DISK = """
import json, os
from pathlib import Path
from support.stack import quick_stack
from holdfast.errors import HoldfastError
from holdfast.infra.home import Home
from holdfast.infra.recovery.backup import take_backup
from holdfast.infra.recovery.stores import OwnStores
from holdfast.infra.targets.local.target import LocalTarget
stack = quick_stack(1)
stores = OwnStores(LocalTarget(stack, Home(Path({home!r}))).provision)
try:
    take_backup(stack, stores, Path("backups"))
except HoldfastError as error:
    print(json.dumps([error.what, error.because, error.way_out, os.listdir("backups")]))
"""


def test_a_full_disk_leaves_no_half_backup(stack: Sparkle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", child_environ()["PYTHONPATH"])
    code = ON_SMALL_DISK.format(home=str(stack.home.root))
    what, because, way_out, left = on_small_disk(tmp_path, code, options="size=24k")
    assert "not" in what
    assert "No space left" in because
    assert way_out
    assert left == []


def test_an_interrupted_command_leaves_no_half_backup(stack: Sparkle, tmp_path: Path) -> None:
    with psycopg.connect(stack.target.provision.store_dsn("postgres")) as blocker:
        blocker.execute("LOCK TABLE twice")  # the dump waits for it
        options = ["--home", str(stack.home.root), "--stack", "sparkle", "--to", str(tmp_path)]
        argv = [sys.executable, "-P", "-m", "holdfast", "backup", *options]
        child = subprocess.Popen(argv, env=child_environ(), stderr=subprocess.PIPE, text=True)
        wait_until(lambda: list(tmp_path.glob(".*.part/*.rdb")), "the backup has begun")
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=20)
    assert child.returncode == ExitCode.INTERRUPTED, said
    assert list(tmp_path.iterdir()) == []


def test_a_stack_without_stores_has_nothing_to_back_up(stack: Sparkle, stores: OwnStores, tmp_path: Path) -> None:
    import msgspec

    with pytest.raises(Refused, match="nothing to back up"):
        take_backup(msgspec.structs.replace(stack.stack, stores={}), stores, tmp_path)


def test_a_backup_that_is_killed_is_none_and_the_next_one_tidies_up(
    stack: Sparkle, stores: OwnStores, tmp_path: Path
) -> None:
    argv = [sys.executable, "-P", "-c", SLOW_BACKUP, str(stack.home.root), str(tmp_path)]
    child = subprocess.Popen(argv, env=child_environ(), stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert "dumped" in child.stdout.readline()
        (half,) = tmp_path.iterdir()
        other = take_backup(stack.stack, stores, tmp_path, say=lambda text: None).backup
        assert half.exists(), "what another process is making is left alone"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert [backup.id for backup in list_backups(tmp_path)] == [other.id]
    last = take_backup(stack.stack, stores, tmp_path, say=lambda text: None).backup
    assert {path.name for path in tmp_path.iterdir()} == {other.id, last.id}
    wait_until(lambda: not transactions(stack), "the killed backup's transaction has ended")


def transactions(stack: Sparkle) -> int:
    with psycopg.connect(stack.target.provision.store_dsn("postgres")) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()"
        row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0
