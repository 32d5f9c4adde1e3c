"""One stack with v1 live for all tests of recovery, with data of every kind in its stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from recovery.contents import fill
from support.stack import Sparkle, quick_stack, releases_of, sparkle

from holdfast.infra.recovery.backup import Taken, take_backup
from holdfast.infra.recovery.stores import OwnStores


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sparkle]:
    releases = releases_of(tmp_path_factory.mktemp("releases"))
    with sparkle(tmp_path_factory.mktemp("recovery"), releases, stack=quick_stack(1)) as stack:
        stack.desk().deploy("v1")
        stack.desk().promote() if stack.journal.open_operation() else None
        fill(stack.target.provision.store_dsn("postgres"), stack.target.provision.store_dsn("redis"))
        yield stack


@pytest.fixture
def stack(shared: Sparkle) -> Iterator[Sparkle]:
    """The shared stack; a test that leaves another database or Redis number behind fails."""
    before = (shared.normal(), databases(shared), numbers(shared))
    yield shared
    assert (shared.normal(), databases(shared), numbers(shared)) == before


@pytest.fixture
def stores(stack: Sparkle) -> OwnStores:
    return OwnStores(stack.target.provision)


@pytest.fixture
def taken(stack: Sparkle, stores: OwnStores, tmp_path: Path) -> Taken:
    return take_backup(stack.stack, stores, tmp_path / "backups", say=lambda text: None)


def databases(stack: Sparkle) -> list[str]:
    with psycopg.connect(stack.target.provision.store_dsn("postgres")) as connection:
        return sorted(name for (name,) in connection.execute("SELECT datname FROM pg_database"))


def numbers(stack: Sparkle) -> list[str]:
    with redis.Redis.from_url(stack.target.provision.store_dsn("redis")) as client:
        return sorted(client.info("keyspace"))
