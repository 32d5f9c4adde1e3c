"""The steps of a restore in place: a database beside the live one, proven there, then put in its place by renames.

PostgreSQL: NAME_restore_X is loaded; the swap renames NAME to NAME_before_X and NAME_restore_X to NAME (X: letters of
the restore's own). Redis: an empty database number is loaded; the swap is SWAPDB. Services stay up, and are cut off
from PostgreSQL for the two renames.
"""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.errors import Refused
from holdfast.infra.recovery.context import RestoreContext
from holdfast.infra.recovery.dumps import (
    at_database,
    database_of,
    databases,
    drop_database,
    maintenance,
    open_database,
    rename_database,
)
from holdfast.infra.recovery.keys import Databases
from holdfast.infra.recovery.manifest import Backup, RedisBackup
from holdfast.infra.recovery.snapshots import load_snapshot, redis_at
from holdfast.infra.recovery.steps import load_database, prove_database, prove_keys
from holdfast.infra.recovery.stores import Stores, stores_of
from holdfast.infra.stack import Stack

LIVE = 0
"""The number of the Redis database that a stack uses: its URLs name it."""
LAST = 15
"""The highest number of a Redis with its default of 16 databases."""


def free_databases(stack: Stack, stores: Stores, backup: Backup) -> dict[str, int]:
    """An empty database of each Redis. Raises Refused where the backup does not fit into one."""
    found = {}
    for name in stores_of(stack, "redis"):
        part = backup.manifest.stores.get(name)
        if isinstance(part, RedisBackup) and set(part.facts.databases) - {LIVE}:
            raise _not_in_place(name, f"the backup holds the databases {part.facts.databases}, a stack uses {LIVE}")
        with redis_at(stores.store_url(name)) as server:
            if server[LIVE].info("cluster").get("cluster_enabled"):
                raise _not_in_place(name, "it is a cluster, which has one database and no SWAPDB")
            free = next((number for number in range(LAST, LIVE, -1) if _is_empty(server, number)), None)
        if free is None:
            raise _not_in_place(name, "none of its databases is empty")
        found[name] = free
    return found


def load_beside(context: RestoreContext) -> None:
    """Load the dump into a database beside the live one, and the snapshot into an empty number."""
    for name, beside, _ in _databases(context):
        load_database(context, name, at_database(context.stores.store_dsn(name), beside))
    for name, number in context.plan.free.items():
        part = context.backup.manifest.stores[name]
        if isinstance(part, RedisBackup):
            load_snapshot(context.backup.path / part.snapshot, context.stores.store_url(name), {LIVE: number})


def drop_beside(context: RestoreContext) -> None:
    """Drop what was loaded; the live data were never touched."""
    for name, beside, _ in _databases(context):
        with maintenance(context.stores.store_dsn(name)) as connection:
            drop_database(connection, beside)
    _flush(context)


def verify_beside(context: RestoreContext) -> None:
    """Compare every row and every key with what the backup says, before anybody sees them."""
    for name, beside, _ in _databases(context):
        prove_database(context, name, at_database(context.stores.store_dsn(name), beside))
    for name, number in context.plan.free.items():
        prove_keys(context, name, context.stores.store_url(name), {number: LIVE})


def fit_schema(context: RestoreContext) -> None:
    """Bring the loaded database to the schema that the live release needs; one that is too new is refused."""
    migrations = context.stack.migrations
    for name, beside, _ in _databases(context):
        if migrations and migrations.store == name:
            context.schema.fit(at_database(context.stores.store_dsn(name), beside))


def swap(context: RestoreContext) -> None:
    """Put what was loaded in the place of what is live, which is kept beside."""
    for name, beside, before in _databases(context):
        dsn = context.stores.store_dsn(name)
        live = database_of(dsn)
        with maintenance(dsn) as connection:
            there = databases(connection)
            if beside in there and live in there:
                rename_database(connection, live, before)
            if beside in there:
                rename_database(connection, beside, live)
            open_database(connection, live)
    for name, number in context.plan.free.items():
        with redis_at(context.stores.store_url(name)) as server:
            if not server[number].exists(_mark(context)):
                server[LIVE].set(_mark(context), "1")
                server[LIVE].swapdb(LIVE, number)


def swap_back(context: RestoreContext) -> None:
    """Put what was live before in its place again; what was restored lies beside, and is dropped next."""
    for name, number in context.plan.free.items():
        with redis_at(context.stores.store_url(name)) as server:
            if server[number].exists(_mark(context)):
                server[LIVE].swapdb(LIVE, number)
            server[LIVE].delete(_mark(context))
    for name, beside, before in _databases(context):
        dsn = context.stores.store_dsn(name)
        live = database_of(dsn)
        with maintenance(dsn) as connection:
            there = databases(connection)
            if before in there and live in there:
                rename_database(connection, live, beside)
            if before in there:
                rename_database(connection, before, live)
            if {before, live} & there:
                open_database(connection, live)


def discard(context: RestoreContext) -> None:
    """Drop what was replaced. From here on there is no way back."""
    for name, _, before in _databases(context):
        with maintenance(context.stores.store_dsn(name)) as connection:
            drop_database(connection, before)
    _flush(context)


def _is_empty(server: Databases, number: int) -> bool:
    """Whether a number holds no keys; one that the server does not have is not empty."""
    from redis import ResponseError

    try:
        return not server[number].dbsize()
    except ResponseError:
        return False


def _databases(context: RestoreContext) -> Iterator[tuple[str, str, str]]:
    """Each PostgreSQL store with the names of the database that is loaded and of the one that was replaced."""
    for name in stores_of(context.stack, "postgres"):
        live = database_of(context.stores.store_dsn(name))
        yield name, f"{live}_restore_{context.plan.letters}", f"{live}_before_{context.plan.letters}"


def _flush(context: RestoreContext) -> None:
    for name, number in context.plan.free.items():
        with redis_at(context.stores.store_url(name)) as server:
            server[number].flushdb()


def _mark(context: RestoreContext) -> str:
    """A key in what was live before: where it is tells whether the swap has happened, which SWAPDB itself does not."""
    return f"holdfast:before:{context.plan.letters}"


def _not_in_place(name: str, because: str) -> Refused:
    return Refused(f"{name} cannot be replaced in place", because=because, way_out="restore into a new home: --to HOME")
