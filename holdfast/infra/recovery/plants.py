"""What a restore drill must find: corruptions of a backup's files, or of what was restored. One function a plant."""

from __future__ import annotations

import os
from collections.abc import Callable

from holdfast.infra.recovery.manifest import Backup
from holdfast.infra.recovery.snapshots import redis_at
from holdfast.infra.recovery.stores import Stores, stores_of
from holdfast.infra.recovery.writes import KEY
from holdfast.infra.stack import Stack

OLDER = "older-backup"
"""The drill itself puts an older backup in the place of the one that it took."""


def truncated_file(backup: Backup) -> None:
    """The largest file of the backup has lost its second half."""
    path = max((backup.path / entry.name for entry in backup.manifest.files), key=lambda path: path.stat().st_size)
    os.truncate(path, path.stat().st_size // 2)


def changed_row(stores: Stores, stack: Stack) -> None:
    """A row of the drill's own table has become another one."""
    _in_database(stores, stack, "UPDATE holdfast_drill.rows SET at = at + interval '1 second' WHERE number = 1")


def missing_table(stores: Stores, stack: Stack) -> None:
    """The drill's own table is gone."""
    _in_database(stores, stack, "DROP TABLE holdfast_drill.rows")


def changed_key(stores: Stores, stack: Stack) -> None:
    """The drill's own stream has lost its first entry."""
    for name in stores_of(stack, "redis")[:1]:
        with redis_at(stores.store_url(name)) as server:
            server[0].xtrim(KEY, maxlen=server[0].xlen(KEY) - 1, approximate=False)


OF_FILES: dict[str, Callable[[Backup], None]] = {"truncated-file": truncated_file}
OF_STORES: dict[str, Callable[[Stores, Stack], None]] = {
    "changed-row": changed_row,
    "missing-table": missing_table,
    "changed-key": changed_key,
}
PLANTS = (*OF_STORES, *OF_FILES, OLDER)


def _in_database(stores: Stores, stack: Stack, query: str) -> None:
    import psycopg

    for name in stores_of(stack, "postgres")[:1]:
        with psycopg.connect(stores.store_dsn(name)) as connection:
            connection.execute(query.encode())
