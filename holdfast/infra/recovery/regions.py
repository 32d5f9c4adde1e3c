"""What a drill needs of a region: its stores, made to lead or to follow, killed, and taken away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from holdfast.children import poll
from holdfast.errors import EnvironmentFailed
from holdfast.infra.recovery.replicas import KINDS
from holdfast.infra.stack import Stack

READY_S = 120.0
"""A region must be as it should be by then."""


class Region(Protocol):
    """A region; it also tells where its stores are, as `holdfast.infra.recovery.stores.Stores` does."""

    stack: Stack

    @property
    def name(self) -> str:
        """primary or secondary."""
        ...

    @property
    def way_out(self) -> str:
        """Where to look when something does not work."""
        ...

    def make(self, leader: Region | None = None) -> None:
        """Have the stores, each one following the leader's; without a leader they lead."""
        ...

    def address(self, store: str) -> tuple[str, int]:
        """Host and port by which another region's store follows this one's."""
        ...

    def trouble(self) -> str:
        """Why a store cannot come up, where waiting is in vain; empty while it may."""
        ...

    def cut(self) -> None:
        """End every store at once."""
        ...

    def clear(self) -> None:
        """Take the stores and their data away: what comes next begins from its leader's data."""
        ...

    def delete(self) -> None:
        """Ask for the end of the region with all that is in it."""
        ...

    def wait_gone(self) -> None:
        """Wait until it is gone."""
        ...

    def store_dsn(self, store: str) -> str:
        """The URL of a PostgreSQL store."""
        ...

    def store_url(self, store: str) -> str:
        """The URL of a store."""
        ...


def wait_leading(region: Region) -> None:
    """Wait until every store takes writes."""
    for name, store in region.stack.stores.items():
        wait_until(region, _asked(KINDS[store.kind].leads, region, name), f"{name} does not lead")


def wait_following(region: Region) -> None:
    """Wait until every store streams from its leader."""
    for name, store in region.stack.stores.items():
        wait_until(region, _asked(KINDS[store.kind].follows, region, name), f"{name} does not follow")


def wait_until(region: Region, true: Callable[[], bool], otherwise: str) -> None:
    """Wait for a condition. Raises EnvironmentFailed, at once where waiting is in vain."""
    trouble = ""
    for _ in poll(time.monotonic() + READY_S, every=0.2):
        if true():
            return
        trouble = region.trouble()
        if trouble:
            break
    raise EnvironmentFailed(
        f"region {region.name} is not as it should be: {otherwise}",
        because=trouble or f"not within {READY_S:g} s",
        way_out=region.way_out,
    )


def _asked(ask: Callable[[str], bool], region: Region, name: str) -> Callable[[], bool]:
    """The question, put to a store; one that does not answer yet has not said yes."""

    def true() -> bool:
        import psycopg

        try:
            return ask(region.store_url(name))
        except (psycopg.Error, EnvironmentFailed, OSError):
            return False

    return true
