"""What the comparison of two databases, or of two Redis, finds; and that an equal one is equal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import redis
from recovery.contents import KINDS, fill_redis
from support.stack import Sparkle

from holdfast.infra.recovery.backup import Taken
from holdfast.infra.recovery.dumps import at_database, drop_database, load, maintenance
from holdfast.infra.recovery.keys import Index, key_differences, load_index, read_index, write_index
from holdfast.infra.recovery.manifest import PostgresBackup, PostgresFacts
from holdfast.infra.recovery.rows import database_differences, read_facts
from holdfast.infra.recovery.snapshots import load_snapshot, redis_at
from holdfast.infra.recovery.stores import OwnStores

BESIDE = "compared"
NUMBER = 9

CHANGES = {
    'UPDATE "Odd name"."Things" SET amount = amount + 1 WHERE id = 17': "has its 300 rows, but not with the same",
    'DELETE FROM "Odd name"."Things" WHERE id = 17': "Things has 299 rows, and had 300",
    "DROP TABLE twice": "table public.twice is missing",
    "CREATE TABLE another (n int)": "table public.another was not there",
    "UPDATE twice SET word = 'same'": "twice has its 3 rows, but not with the same content",
    'SELECT setval(\'"Odd name"."Things_id_seq"\', 299)': "sequence Odd name.Things_id_seq is at 299, and was at 300",
    "UPDATE alembic_version SET version_num = '0000'": "the schema is at 0000, and was at 0001",
    'DROP TABLE "Odd name"."Things"; DROP EXTENSION vector': "extension vector is missing",
    "SELECT lo_put((SELECT oid FROM pg_largeobject_metadata), 0, 'b')": "pg_largeobject has its 1 rows, but not",
}


@pytest.fixture
def facts(taken: Taken) -> PostgresFacts:
    return taken.databases["postgres"]


@pytest.fixture
def copy(taken: Taken, stores: OwnStores) -> Iterator[str]:
    """The DSN of a database made from the backup."""
    part = taken.backup.manifest.stores["postgres"]
    assert isinstance(part, PostgresBackup)
    dsn = at_database(stores.store_dsn("postgres"), BESIDE)
    load(taken.backup.path / part.dump, dsn, part.facts, major=part.facts.major)
    yield dsn
    with maintenance(dsn) as connection:
        drop_database(connection, BESIDE)


def test_a_database_made_from_its_dump_is_equal(copy: str, facts: PostgresFacts) -> None:
    assert database_differences(facts, read_facts(copy)) == []


def test_each_change_of_a_database_is_named(copy: str, facts: PostgresFacts) -> None:
    for change, said in CHANGES.items():
        with psycopg.connect(copy) as connection:
            connection.execute(change.encode())
            found = read_uncommitted(connection, facts)
            connection.rollback()
        assert any(said in line for line in found), (change, found)
    assert database_differences(facts, read_facts(copy)) in (
        [],
        ["sequence Odd name.Things_id_seq is at 299, and was at 300"],
    )


def read_uncommitted(connection: psycopg.Connection[Any], facts: PostgresFacts) -> list[str]:
    """The differences of what this transaction sees."""
    from holdfast.infra.recovery.rows import SEQUENCES, SESSION, Snapshot

    for key, value in SESSION.items():
        connection.execute("SELECT set_config(%s, %s, true)", [key, value])
    sequences = {str(k): int(v) for k, v in connection.execute(SEQUENCES.encode()) if v}
    snapshot = Snapshot(connection=connection, name="", at=0, sequences=sequences)
    return database_differences(facts, snapshot.facts())


def test_the_hash_of_a_table_does_not_depend_on_the_order_and_counts_a_row_twice(stores: OwnStores) -> None:
    dsn = at_database(stores.store_dsn("postgres"), BESIDE)
    hashes = []
    for rows in ("('a'), ('b'), ('b')", "('b'), ('a'), ('b')", "('a'), ('a'), ('b')", "('a'), ('c'), ('c')"):
        with maintenance(dsn) as connection:
            drop_database(connection, BESIDE)
            connection.execute(f"CREATE DATABASE {BESIDE} TEMPLATE template0")
        with psycopg.connect(dsn) as made:
            made.execute(f"CREATE TABLE t (t text); INSERT INTO t VALUES {rows}".encode())
        hashes.append(read_facts(dsn).tables["public.t"].hash)
    with maintenance(dsn) as connection:
        drop_database(connection, BESIDE)
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_the_facts_do_not_depend_on_the_settings_of_a_session(stores: OwnStores, facts: PostgresFacts) -> None:
    dsn = stores.store_dsn("postgres")
    with psycopg.connect(dsn, autocommit=True) as connection:
        for setting in ("timezone = 'Asia/Tokyo'", "datestyle = 'German'", "bytea_output = 'escape'"):
            connection.execute(f"ALTER ROLE holdfast SET {setting}".encode())
    try:
        assert database_differences(facts, read_facts(dsn)) == []
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("ALTER ROLE holdfast RESET ALL")


# -- Redis -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(stack: Sparkle) -> Iterator[redis.Redis]:
    """A number of the stack's Redis that holds a key of every type."""
    url = stack.target.provision.store_dsn("redis").removesuffix("/0") + f"/{NUMBER}"
    with redis.Redis.from_url(url) as one:
        fill_redis(one)
        yield one
        one.flushdb()


def index_of(stores: OwnStores) -> Index:
    with redis_at(stores.store_url("redis")) as server:
        return read_index(server, {NUMBER: 0})


def test_a_snapshot_brings_every_type_back_as_it_was(taken: Taken, client: redis.Redis, stores: OwnStores) -> None:
    load_snapshot(taken.backup.path / "redis.rdb", stores.store_url("redis"), {0: NUMBER})
    found = index_of(stores)
    assert len(found) == KINDS
    assert key_differences(taken.keys["redis"], found) == []
    assert client.xinfo_groups("stream")[0]["pending"] == 2
    assert 3000 < client.ttl("ends") <= 3600
    assert client.xpending("stream", "group")["consumers"][0]["name"] == b"reader"


KEY_CHANGES = [
    ("SET", "string", "another"),
    ("DEL", "list"),
    ("LSET", "list", 500, "another"),
    ("SREM", "set", "member 7"),
    ("HSET", "hash", "field 9", "another"),
    ("ZADD", "zset", 1.6, "a"),
    ("XDEL", "stream", "3-0"),
    ("XACK", "stream", "group", "6-0"),
    ("SET", "new", "key"),
    ("PERSIST", "ends"),
    ("EXPIRE", "ends", 7200),
    ("EXPIRE", "string", 7200),
    ("PFADD", "counted", "one more", "and more", "and another"),
]


@pytest.mark.parametrize("change", KEY_CHANGES, ids=lambda change: "-".join(str(word) for word in change[:2]))
def test_each_change_of_a_redis_is_seen(
    client: redis.Redis, stores: OwnStores, change: tuple[str | int | float, ...]
) -> None:
    before = index_of(stores)
    assert key_differences(before, index_of(stores)) == []
    client.execute_command(*change)  # type: ignore[no-untyped-call]
    assert len(key_differences(before, index_of(stores))) == 1


def test_a_key_whose_end_has_come_is_no_difference_and_one_that_never_ends_is(tmp_path: Path) -> None:
    now = time.time()
    index = msgspec.convert({"gone": ["v", now - 1], "lasts": ["v", None], "later": ["v", now + 60]}, Index)
    write_index(index, tmp_path / "index")
    read = load_index(tmp_path / "index")
    assert {name: key.value for name, key in read.items()} == dict.fromkeys(index, "v")
    assert key_differences(read, {"lasts": index["lasts"], "later": index["later"]}) == []
    assert key_differences(read, {"lasts": index["lasts"]}) == ["1 of 3 keys are missing"]
    assert key_differences(read, {"later": index["later"]}) == ["1 of 3 keys are missing"]
