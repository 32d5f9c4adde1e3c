"""Backups that must not be restored: each is refused with what, because of what, and the way out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.stack import refusal

from holdfast.errors import Refused
from holdfast.infra.recovery.manifest import (
    MANIFEST,
    Backup,
    FileEntry,
    Manifest,
    PostgresBackup,
    PostgresFacts,
    RedisBackup,
    RedisFacts,
    check_files,
    file_entry,
    find_backup,
    list_backups,
    read_backup,
    write_manifest,
)
from holdfast.infra.recovery.snapshots import redis_at, server_on
from holdfast.infra.recovery.steps import check_fits
from holdfast.infra.stack import load_stack

ID = "20260101-000000-abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one backup, whose files are small."""
    place = tmp_path / ID
    place.mkdir()
    for name in ("postgres.dump", "redis.rdb", "redis.keys"):
        (place / name).write_bytes(name.encode() * 50)
    postgres = PostgresFacts(version="18.1", at=2.0, revision="0001", tables={}, sequences={}, extensions={}, roles=[])
    redis = RedisFacts(version="6.2.14", at=3.0, keys=0, expiring=0, hash="0", databases=[0])
    manifest = Manifest(
        id=ID,
        stack="sparkle",
        target="local",
        began=1.0,
        ended=4.0,
        holdfast="0",
        stores={
            "postgres": PostgresBackup(dump="postgres.dump", facts=postgres),
            "redis": RedisBackup(snapshot="redis.rdb", index="redis.keys", facts=redis),
        },
        files=[file_entry(path) for path in sorted(place.iterdir())],
    )
    write_manifest(place, manifest)
    return tmp_path


def changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Backup:
    """The backup with a changed manifest."""
    path = folder / ID / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return read_backup(folder / ID)


def three_parts(error: Refused, what: str, because: str) -> None:
    assert what in error.what
    assert because in error.because
    assert error.way_out


def test_a_whole_backup_is_found_by_id_by_path_and_as_the_last(folder: Path) -> None:
    for name in (ID, "last", str(folder / ID)):
        found = find_backup(name, folder)
        assert (found.id, found.manifest.at) == (ID, 2.0)
        check_files(found)
        check_fits(found, load_stack("sparkle"))


def test_one_that_was_cut_off_is_not_listed_and_not_found(folder: Path) -> None:
    (folder / ID).rename(folder / f".{ID}.part")
    (folder / "20260101-000001-abcdef").mkdir()  # no manifest
    assert list_backups(folder) == []
    for name in (ID, "last", "20260101-000001-abcdef"):
        three_parts(refusal(lambda name=name: find_backup(name, folder)), f"no backup {name}", "none")  # type: ignore[misc]


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, 20)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["postgres.dump", "redis.rdb", "redis.keys"])
@pytest.mark.parametrize(
    ("damage", "because"),
    [(remove, "is missing"), (truncate, "has 20 bytes, and had"), (flip, "is not what was written")],
)
def test_a_damaged_file_is_named(folder: Path, name: str, damage: Callable[[Path], None], because: str) -> None:
    damage(folder / ID / name)
    three_parts(refusal(lambda: check_files(read_backup(folder / ID))), "is damaged", because)


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema": "holdfast.backup/1"}', b"[1]"])
def test_a_manifest_that_cannot_be_read_is_refused_and_not_listed(folder: Path, content: bytes) -> None:
    (folder / ID / MANIFEST).write_bytes(content)
    three_parts(refusal(lambda: read_backup(folder / ID)), "is damaged", "manifest")
    assert list_backups(folder) == []


def test_one_of_a_newer_form_is_refused(folder: Path) -> None:
    error = refusal(lambda: changed(folder, lambda manifest: manifest.update(schema="holdfast.backup/2")))
    three_parts(error, "holdfast.backup/2", "newer holdfast")


def test_one_of_another_stack_is_refused(folder: Path) -> None:
    found = changed(folder, lambda manifest: manifest.update(stack="other"))
    three_parts(refusal(lambda: check_fits(found, load_stack("sparkle"))), "of the stack other", "this is sparkle")


def test_one_of_a_newer_postgresql_is_refused(folder: Path) -> None:
    found = changed(folder, lambda manifest: manifest["stores"]["postgres"]["facts"].update(version="19.0"))
    three_parts(refusal(lambda: check_fits(found, load_stack("sparkle"))), "PostgreSQL 19.0", "is PostgreSQL 18")


def test_one_without_a_store_of_the_stack_is_refused(folder: Path) -> None:
    found = changed(folder, lambda manifest: manifest["stores"].pop("redis"))
    error = refusal(lambda: check_fits(found, load_stack("sparkle")))
    three_parts(error, "does not hold the stores", "redis (redis)")


def test_a_file_that_is_not_in_the_list_or_lies_elsewhere_is_refused(folder: Path) -> None:
    gone = changed(folder, lambda manifest: manifest["files"].pop(0))
    three_parts(refusal(lambda: check_files(gone)), "is damaged", "no file of")
    (folder / "outside").write_bytes(b"x")
    entry = msgspec.structs.replace(file_entry(folder / "outside"), name="../outside")
    assert isinstance(entry, FileEntry)
    outside = changed(folder, lambda manifest: manifest["files"].append(msgspec.to_builtins(entry)))
    three_parts(refusal(lambda: check_files(outside)), "is damaged", "lies outside")


def test_a_snapshot_that_is_none_is_refused_by_the_server_that_reads_it(folder: Path) -> None:
    def read() -> None:
        with server_on(folder / ID / "redis.rdb"):
            pass

    three_parts(refusal(read), "redis.rdb cannot be loaded", "signature")


@pytest.mark.parametrize("url", ["redis+sentinel://:x@host:26379/main/0", "rediss://host:6379/0"])
def test_a_redis_of_several_servers_is_refused(url: str, tmp_path: Path) -> None:
    def read() -> None:
        with redis_at(url):
            pass

    three_parts(refusal(read), "is not backed up or restored", "one server")
