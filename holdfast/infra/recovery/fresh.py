"""The steps of a restore into a new home: a stack of its own, owned by this process, until it is proven."""

from __future__ import annotations

import shutil
from pathlib import Path

from holdfast.children import tagged
from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.home import Home
from holdfast.infra.recovery.context import RestoreContext
from holdfast.infra.recovery.manifest import PostgresBackup, RedisBackup
from holdfast.infra.recovery.snapshots import load_snapshot, redis_at
from holdfast.infra.recovery.steps import load_database, prove_database, prove_keys
from holdfast.infra.recovery.stores import OwnStores, answers_of_stores, stores_of
from holdfast.infra.supervisor.unit import STACK_TAG
from holdfast.infra.targets.kept import kept_where, shown
from holdfast.infra.targets.local.orphans import sweep_orphans
from holdfast.infra.targets.local.target import LocalTarget


def refuse_used(home: Home) -> None:
    """Raise Refused where a home has data or a stack of its own, here or on a cluster."""
    where = kept_where(home)
    reasons = {
        f"its stack is up {shown(where)}" if where else "": bool(where and where.up),
        "processes of a stack run there": any(tagged(STACK_TAG, str(home.root))),
        "there are data in it": any(path.is_dir() and any(path.iterdir()) for path in _made(home)),
    }
    because = [reason for reason, true in reasons.items() if true]
    if because:
        raise Refused(
            f"{home.root} is in use",
            because=because[0],
            way_out="name a new folder with --to, or replace what is there: --to here --replace",
        )


def make_home(context: RestoreContext) -> None:
    """Make the new home's folders."""
    _target(context).home.make()


def remove_home(context: RestoreContext) -> None:
    """Remove what was made there: all of it, but for what lay there before."""
    home = _target(context).home
    for folder in _made(home):
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
    stores = _stores(context)
    with answers_of_stores():
        for name, part in context.backup.manifest.stores.items():
            if isinstance(part, PostgresBackup):
                _ask_largest_table(name, part, stores.store_dsn(name))
            else:
                _ask_number_of_keys(name, part, stores.store_url(name))
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


def _ask_largest_table(name: str, part: PostgresBackup, dsn: str) -> None:
    import psycopg
    from psycopg import sql

    for table, facts in sorted(part.facts.tables.items(), key=lambda item: -item[1].rows)[:1]:
        query = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(*table.split(".", 1)))
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            found = connection.execute(query).fetchone()
        if found != (facts.rows,):
            raise _wrong_answer(name, f"{table} has {found[0] if found else 0} rows, and had {facts.rows}")


def _ask_number_of_keys(name: str, part: RedisBackup, url: str) -> None:
    with redis_at(url) as server:
        keys = sum(found["keys"] for found in server[0].info("keyspace").values())
    if keys < part.facts.keys:
        raise _wrong_answer(name, f"it has {keys} keys, and had {part.facts.keys} that never end")


def _made(home: Home) -> tuple[Path, ...]:
    """What a restore makes in a home, and where nothing may be before it."""
    return home.data, home.state, home.envoy


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
