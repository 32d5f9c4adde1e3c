"""Where the stores of a stack are reached, on whichever target it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from holdfast.errors import EnvironmentFailed
from holdfast.infra.stack import Stack


class Stores(Protocol):
    """Gives the URLs of stores, with their passwords: for environments and clients, never for argv or a log."""

    def store_dsn(self, store: str) -> str:
        """The URL of a PostgreSQL store."""
        ...

    def store_url(self, store: str) -> str:
        """The URL of a Redis store."""
        ...


class AnyStore(Protocol):
    """What tells the URL of any store, as the provision of the local target does."""

    def store_dsn(self, store: str) -> str:
        """The URL of a store of whichever kind."""
        ...


@dataclass(frozen=True)
class OwnStores:
    """The stores of a stack on this machine."""

    provision: AnyStore

    def store_dsn(self, store: str) -> str:
        """The URL of a PostgreSQL store."""
        return self.provision.store_dsn(store)

    def store_url(self, store: str) -> str:
        """The URL of a Redis store."""
        return self.provision.store_dsn(store)


@contextmanager
def answers_of_stores() -> Iterator[None]:
    """Give what a store says instead of an answer the form of an error that a person can act on."""
    import psycopg
    from redis import RedisError

    try:
        yield
    except (psycopg.Error, RedisError) as error:
        raise EnvironmentFailed(
            "a store did not do what was asked",
            because=(str(error).strip().splitlines() or [type(error).__name__])[0],
            way_out="see `holdfast status` and `holdfast logs`, then run the command again",
        ) from error


def stores_of(stack: Stack, kind: str) -> list[str]:
    """The names of the stores of a kind, in the order of the stack's YAML."""
    return [name for name, store in stack.stores.items() if store.kind == kind]
