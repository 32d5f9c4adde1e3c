"""The steps of a restore into a new home: a stack of its own, owned by this process, until it is proven."""

from __future__ import annotations

import shutil

from holdfast.children import tagged
from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.home import Home
from holdfast.infra.recovery.context import RestoreContext
from holdfast.infra.recovery.manifest import PostgresBackup, RedisBackup
from holdfast.infra.recovery.snapshots import load_snapshot, redis_at
from holdfast.infra.recovery.steps import load_database, prove_database, prove_keys
from holdfast.infra.recovery.stores import OwnStores, stores_of
from holdfast.infra.supervisor.unit import STACK_TAG
from holdfast.infra.targets.local.orphans import sweep_orphans
from holdfast.infra.targets.local.target import LocalTarget


def refuse_used(home: Home) -> None:
    """Raise Refused where a home has data, or a stack that runs."""
    used = home.data.is_dir() and any(home.data.iterdir())
    if used or any(tagged(STACK_TAG, str(home.root))):
        raise Refused(
            f"{home.root} is in use",
            because="there are data in it" if used else "processes of a stack run there",
            way_out="name a new folder with --to, or replace what is there: --to here --replace",
        )


def make_home(context: RestoreContext) -> None:
    """Make the new home's folders."""
    _target(context).home.make()


def remove_home(context: RestoreContext) -> None:
    """Remove what was made there: all of it, but for what lay there before."""
    home = _target(context).home
    for folder in (home.data, home.state, home.envoy, home.logs):
        shutil.rmtree(folder, ignore_errors=True)
    if context.plan.made_root and home.root != context.home.root:
        shutil.rmtree(home.root, ignore_errors=True)


def start_stores(context: RestoreContext) -> None:
    """Start a stack without a release there: empty stores."""
    target = _target(context)
    if not context.running:
        sweep_orphans(target.home)  # what an earlier, killed restore had started may be about to end
        target.down()
        target.up()
        context.running = True


def stop_stores(context: RestoreContext) -> None:
    """End it."""
    target = _target(context)
    sweep_orphans(target.home)
    target.down()
    context.running = False


def load_stores(context: RestoreContext) -> None:
    """Load the dump and the snapshot; what an earlier try loaded is gone first."""
    stores = _stores(context)
    for name in stores_of(context.stack, "postgres"):
        load_database(context, name, stores.store_dsn(name))
    for name, part in context.backup.manifest.stores.items():
        if isinstance(part, RedisBackup):
            with redis_at(stores.store_url(name)) as server:
                server[0].flushall()
            same = {number: number for number in part.facts.databases}
            load_snapshot(context.backup.path / part.snapshot, stores.store_url(name), same)


def first_answer(context: RestoreContext) -> None:
    """Ask each store for something that the backup says: from here on it answers, and correctly."""
    import psycopg
    from psycopg import sql

    stores = _stores(context)
    for name, part in context.backup.manifest.stores.items():
        if isinstance(part, PostgresBackup) and part.facts.tables:
            table, facts = max(part.facts.tables.items(), key=lambda item: item[1].rows)
            query = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(*table.split(".", 1)))
            with psycopg.connect(stores.store_dsn(name), connect_timeout=5) as connection:
                rows = connection.execute(query).fetchone()
            if rows != (facts.rows,):
                raise _wrong_answer(name, f"{table} has {rows and rows[0]} rows, and had {facts.rows}")
        if isinstance(part, RedisBackup):
            with redis_at(stores.store_url(name)) as server:
                keys = sum(found["keys"] for found in server[0].info("keyspace").values())
            if keys < part.facts.keys:
                raise _wrong_answer(name, f"it has {keys} keys, and had {part.facts.keys} that never end")
    context.timeline.point("answered", backup=context.plan.id)


def verify_stores(context: RestoreContext) -> None:
    """Compare every row and every key with what the backup says."""
    stores = _stores(context)
    for name, part in context.backup.manifest.stores.items():
        if isinstance(part, PostgresBackup):
            prove_database(context, name, stores.store_dsn(name))
        else:
            same = {number: number for number in range(max(part.facts.databases, default=0) + 1)}
            prove_keys(context, name, stores.store_url(name), same)


def settle(context: RestoreContext) -> None:
    """End the stores in order; the next `up` there is the restored stack's."""
    target = _target(context)
    target.down()
    context.running = False
    context.remember(target.home)


def _stores(context: RestoreContext) -> OwnStores:
    """The new home's stores, which run: also after a kill, that ended them with the process that owned them."""
    start_stores(context)
    return OwnStores(_target(context).provision)


def _target(context: RestoreContext) -> LocalTarget:
    assert context.target is not None  # noqa: S101 - a restore into a new home always has one
    return context.target


def _wrong_answer(name: str, because: str) -> EnvironmentFailed:
    return EnvironmentFailed(
        f"the first answer of {name} is wrong", because=because, way_out="name another backup: holdfast backup --list"
    )
