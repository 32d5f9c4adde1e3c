"""Taking a backup: every store as of one instant, checked after it was written; complete, or not there at all."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from holdfast.durable import sync_directory, write_failed
from holdfast.errors import Refused
from holdfast.infra.recovery.dumps import dump
from holdfast.infra.recovery.keys import Index
from holdfast.infra.recovery.manifest import (
    Backup,
    Manifest,
    PostgresBackup,
    PostgresFacts,
    RedisBackup,
    StoreBackup,
    file_entry,
    list_backups,
    write_manifest,
)
from holdfast.infra.recovery.rows import Snapshot, snapshot_of
from holdfast.infra.recovery.snapshots import describe_snapshot, save_snapshot
from holdfast.infra.recovery.stores import Stores, stores_of
from holdfast.infra.stack import Stack

Say = Callable[[str], None]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A backup, and what was read from the stores for it: what a drill compares with, whatever the files say."""

    backup: Backup
    databases: dict[str, PostgresFacts]
    keys: dict[str, Index]


def silent(_: str) -> None:
    """Say nothing."""


def take_backup(stack: Stack, stores: Stores, folder: Path, *, target: str = "local", say: Say = silent) -> Taken:
    """Back every store of the stack up into FOLDER/ID. Raises EnvironmentFailed, and leaves nothing, when one fails."""
    if not stack.stores:
        raise Refused("there is nothing to back up", because=f"{stack.name} has no store", way_out="name another stack")
    began = time.time()
    with _work_folder(folder) as work:
        parts: dict[str, StoreBackup] = {}
        keys: dict[str, Index] = {}
        with ExitStack() as kept:
            # All snapshots before the first dump, so that the stores are as close to one instant as they can be.
            snapshots = {
                name: kept.enter_context(snapshot_of(stores.store_dsn(name))) for name in stores_of(stack, "postgres")
            }
            saved = {
                name: save_snapshot(stores.store_url(name), work / f"{name}.rdb") for name in stores_of(stack, "redis")
            }
            for name, snapshot in snapshots.items():
                parts[name] = _dump(name, stores.store_dsn(name), snapshot, work, say)
            for name, (version, at) in saved.items():
                file, index = work / f"{name}.rdb", work / f"{name}.keys"
                facts, keys[name] = describe_snapshot(file, index, version=version, at=at)
                parts[name] = RedisBackup(snapshot=file.name, index=index.name, facts=facts)
                say(f"{name}: {facts.keys + facts.expiring} keys")
        backup = _complete(work, folder, _manifest(work, stack, target, began, parts))
    say(f"backup {backup.id}: {backup.manifest.size / 1e6:.1f} MB, checked")
    databases = {name: part.facts for name, part in parts.items() if isinstance(part, PostgresBackup)}
    return Taken(backup=backup, databases=databases, keys=keys)


def prune(folder: Path, keep: int, *, stack: str) -> list[str]:
    """Remove a stack's oldest backups but for `keep`; returns their ids. A removal that is cut off leaves no backup."""
    own = [backup for backup in list_backups(folder) if backup.manifest.stack == stack]
    old = own[: max(0, len(own) - keep)]
    for backup in old:
        gone = backup.path.with_name(f".{backup.id}.part")
        backup.path.rename(gone)
        shutil.rmtree(gone)
    return [backup.id for backup in old]


def sweep(folder: Path) -> None:
    """Remove what a killed backup or removal left; what another process is making stays."""
    for path in folder.glob(".*.part"):
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(fd)


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """A folder of our own, locked while we live; gone at the end unless it was renamed."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sweep(folder)
        work, fd = _locked_folder(folder)
    except OSError as error:
        raise write_failed(folder, error) from error
    try:
        yield work
    except OSError as error:
        raise write_failed(work, error) from error
    finally:
        os.close(fd)
        shutil.rmtree(work, ignore_errors=True)


def _locked_folder(folder: Path) -> tuple[Path, int]:
    """A new folder and the descriptor that holds its lock. One that is swept before it is locked is made again."""
    while True:
        work = folder / f".{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}.part"
        work.mkdir(mode=0o700)
        with suppress(FileNotFoundError):
            fd = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if work.exists():
                return work, fd
            os.close(fd)


def _dump(name: str, dsn: str, snapshot: Snapshot, work: Path, say: Say) -> PostgresBackup:
    """Dump a snapshot, then read every row of the same snapshot."""
    file = work / f"{name}.dump"
    major = snapshot.connection.info.server_version // 10000
    began = time.monotonic()

    def tell() -> None:
        written = file.stat().st_size / 1e6 if file.exists() else 0.0
        say(f"{name}: {written:.0f} MB after {time.monotonic() - began:.0f} s")

    dump(dsn, snapshot.name, file, major=major, meanwhile=tell)
    say(f"{name}: dumped {file.stat().st_size / 1e6:.1f} MB in {time.monotonic() - began:.1f} s")
    facts = snapshot.facts()
    say(f"{name}: {facts.rows} rows in {len(facts.tables)} tables")
    return PostgresBackup(dump=file.name, facts=facts)


def _manifest(work: Path, stack: Stack, target: str, began: float, parts: dict[str, StoreBackup]) -> Manifest:
    """Describe the files as they lie on the disk, after waiting for it."""
    from holdfast import __version__

    for path in sorted(work.iterdir()):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    return Manifest(
        id=work.name.removeprefix(".").removesuffix(".part"),
        stack=stack.name,
        target=target,
        began=began,
        ended=time.time(),
        holdfast=__version__,
        stores={name: parts[name] for name in stack.stores},
        files=[file_entry(path) for path in sorted(work.iterdir())],
    )


def _complete(work: Path, folder: Path, manifest: Manifest) -> Backup:
    """The manifest, then the name: the backup exists from the rename on."""
    write_manifest(work, manifest)
    place = folder / manifest.id
    work.rename(place)
    sync_directory(folder)
    return Backup(path=place, manifest=manifest)
