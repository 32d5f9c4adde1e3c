"""Restores of a backup of the shared stack, and what must be true of its data before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import redis
from support.stack import StackUnderTest, wait_until

from holdfast.infra.home import Home
from holdfast.infra.recovery.context import RestorePlan
from holdfast.infra.recovery.desk import RestoreDesk
from holdfast.infra.recovery.keys import key_differences, load_index, read_index
from holdfast.infra.recovery.manifest import Backup, PostgresBackup
from holdfast.infra.recovery.rows import database_differences, read_facts
from holdfast.infra.recovery.snapshots import redis_at
from holdfast.infra.recovery.stores import OwnStores, Stores
from holdfast.journal import Operation
from holdfast.timeline import Timeline


@dataclass
class Restoring:
    """A backup of a stack, and a home from which it is restored. The stack's own effects do not count: users go on."""

    stack: StackUnderTest[Any]
    backup: Backup
    home: Home

    reached: Stores | None = None

    @property
    def stores(self) -> Stores:
        return self.reached or OwnStores(self.stack.target.provision)

    def desk(self) -> RestoreDesk:
        self.home.root.mkdir(parents=True, exist_ok=True)
        return RestoreDesk(
            stack=self.stack.stack,
            home=self.home,
            stores=self.stores,
            timeline=Timeline(self.home.root / "timeline.jsonl"),
            release_lock=self.stack.journal.lock,
        )

    def operation(self, kind: str) -> Operation:
        """An operation that has begun and done nothing."""
        plan = RestorePlan(backup=str(self.backup.path), id=self.backup.id, stack="sparkle", to="here", letters="0")
        journal = self.desk().journal
        with journal.lock("a test"):
            return journal.begin(kind, msgspec.to_builtins(plan))

    def outcome(self) -> str | None:
        """How the last restore ended; None where none began."""
        operations = self.desk().journal.operations()
        return operations[-1].outcome if operations else None

    def change(self) -> None:
        """Write after the backup: what a restore in place takes back."""
        with psycopg.connect(self.stores.store_dsn("postgres")) as connection:
            connection.execute("INSERT INTO twice VALUES ('after the backup')")
        with redis.Redis.from_url(self.stores.store_url("redis")) as client:
            client.set("after", "the backup")

    def as_backed_up(self) -> None:
        """The stack's data are those of the backup, and the change is not there."""
        part = self.backup.manifest.stores["postgres"]
        assert isinstance(part, PostgresBackup)
        found = database_differences(part.facts, read_facts(self.stores.store_dsn("postgres")))
        assert [line for line in found if "effects" not in line and "idempotency" not in line] == []
        self.same_keys(self.stores)

    def as_changed(self) -> None:
        """The change is there, and it is taken back for the next test."""
        with psycopg.connect(self.stores.store_dsn("postgres")) as connection:
            gone = connection.execute("DELETE FROM twice WHERE word = 'after the backup' RETURNING 1").fetchall()
        with redis.Redis.from_url(self.stores.store_url("redis")) as client:
            keys = client.delete("after")
        assert (len(gone), keys) == (1, 1)
        self.as_backed_up()

    def same_keys(self, stores: Stores) -> None:
        """Every key is as in the backup."""
        with redis_at(stores.store_url("redis")) as server:
            found = read_index(server, {0: 0})
        assert key_differences(load_index(self.backup.path / "redis.keys"), found) == []

    def nothing_beside(self) -> None:
        """No database and no Redis number of a restore is left."""
        with psycopg.connect(self.stores.store_dsn("postgres")) as connection:
            names = {str(name) for (name,) in connection.execute("SELECT datname FROM pg_database")}
        assert names == {"postgres", "sparkle", "template0", "template1"}
        with redis.Redis.from_url(self.stores.store_url("redis")) as client:
            assert list(client.info("keyspace")) == ["db0"]
            assert list(client.scan_iter("holdfast:before:*")) == []

    def serves(self) -> None:
        """The stack answers a chat, which needs both stores."""
        wait_until(lambda: self.stack.chat().status_code == 200, "the stack answers", 15)

    @contextmanager
    def redis_numbers(self, numbers: Iterable[int]) -> Iterator[None]:
        """These numbers of the stack's Redis hold a key."""
        clients = [redis.Redis.from_url(self.stores.store_url("redis")[:-1] + str(number)) for number in numbers]
        for client in clients:
            client.set("taken", 1)
        try:
            yield
        finally:
            for client in clients:
                client.flushdb()
                client.close()


def acting(stack: StackUnderTest[Any], backup: Backup, folder: Path) -> Restoring:
    """Restores of a backup from a home of their own in `folder`."""
    return Restoring(stack, backup, Home(folder / "acting"))
