"""Writes that go on during a drill, each with its acknowledgement: what may be lost is counted from these.

They go into a schema and a key of the drill's own, with fixed names, so that whatever a killed drill left is found.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from holdfast.errors import EnvironmentFailed

if TYPE_CHECKING:
    from psycopg import Connection
    from redis import Redis

SCHEMA = "holdfast_drill"
TABLE = f"{SCHEMA}.rows"
KEY = "holdfast:drill"
MOST = 100_000
"""A writer stops by itself after so many writes."""
GIVE_UP_S = 2.0
"""A write that has no answer by then is not acknowledged."""


class Acknowledged(msgspec.Struct, frozen=True, array_like=True):
    """A write that was acknowledged: its number, and when (Unix seconds on this machine's clock)."""

    number: int
    at: float


class Sink(Protocol):
    """Where numbers are written."""

    def make(self) -> None:
        """Make the table or key, and remove what an earlier drill left."""
        ...

    def write(self, number: int) -> None:
        """Write a number; it is acknowledged when this returns."""
        ...

    def numbers(self) -> set[int]:
        """The numbers that are there."""
        ...

    def remove(self) -> None:
        """Remove the table or key."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class PostgresSink:
    """A table of numbers."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._kept: Connection[Any] | None = None

    def make(self) -> None:
        """Make the schema and the table anew."""
        self.remove()
        self._run(f"CREATE SCHEMA {SCHEMA}")
        self._run(f"CREATE TABLE {TABLE} (number bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())")

    def write(self, number: int) -> None:
        """Insert a row and commit."""
        self._run(f"INSERT INTO {TABLE} (number) VALUES ({int(number)})")  # noqa: S608 - a number of our own

    def numbers(self) -> set[int]:
        """The rows that are there; none where there is no table."""
        import psycopg

        try:
            return {int(number) for (number,) in self._run(f"SELECT number FROM {TABLE}").fetchall()}  # noqa: S608
        except psycopg.errors.UndefinedTable:
            return set()

    def remove(self) -> None:
        """Drop the schema."""
        self._run(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")

    def close(self) -> None:
        """Close the connection."""
        if self._kept is not None:
            self._kept.close()
        self._kept = None

    def _run(self, query: str) -> Any:
        """Run a statement on the connection; after an error the next one gets a new connection."""
        import psycopg

        if self._kept is None or self._kept.closed:
            limits = {"connect_timeout": 2, "options": f"-c statement_timeout={int(GIVE_UP_S * 1000)}"}
            alive = {"keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": 2, "tcp_user_timeout": 2000}
            self._kept = psycopg.connect(self._dsn, autocommit=True, **limits, **alive)  # type: ignore[arg-type]
        try:
            return self._kept.execute(query.encode())
        except psycopg.OperationalError:
            self.close()
            raise


class RedisSink:
    """A stream of numbers."""

    def __init__(self, url: str) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._client: Redis = Redis.from_url(
            url, protocol=2, socket_timeout=GIVE_UP_S, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )

    def make(self) -> None:
        """Remove what is there; the first write makes the stream."""
        self.remove()

    def write(self, number: int) -> None:
        """Add an entry."""
        self._client.xadd(KEY, {"number": number})

    def numbers(self) -> set[int]:
        """The entries that are there."""
        entries: Any = self._client.xrange(KEY)
        return {int(fields[b"number"]) for _, fields in entries}

    def remove(self) -> None:
        """Remove the stream."""
        self._client.delete(KEY)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class Writer:
    """Writes the numbers after `after` into a sink, `rate` a second, in a thread, and notes what was acknowledged.

    A number that fails is not tried again: it may be there all the same, and is neither lost nor kept then.
    """

    def __init__(self, name: str, sink: Sink, *, rate: float, after: int = 0) -> None:
        self.name = name
        self.sink = sink
        self.acknowledged: list[Acknowledged] = []
        self.failed = 0
        self.first_error = ""
        self._pause = 1 / rate
        self._number, self._most = after, after + MOST
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name=f"writes {name}", daemon=True)

    @property
    def last(self) -> int:
        """The last number that was acknowledged; 0 before the first."""
        return self.acknowledged[-1].number if self.acknowledged else 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the write that is under way; one that never began just does not."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(GIVE_UP_S * 3)

    def _go_on(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())) and self._number < self._most:
            due = max(due + self._pause, time.monotonic() - 1.0)
            self._number += 1
            try:
                self.sink.write(self._number)
            except Exception as error:  # noqa: BLE001 - whatever it is, this number was not acknowledged
                self.failed += 1
                self.first_error = self.first_error or str(error).strip().partition("\n")[0]
                continue
            self.acknowledged.append(Acknowledged(self._number, time.time()))


@contextmanager
def writing(sinks: dict[str, Callable[[], Sink]], *, rate: float) -> Iterator[dict[str, Writer]]:
    """Writers on fresh sinks, which are removed at the end, whatever happens.

    Raises EnvironmentFailed when a sink cannot be made.
    """
    made = {name: sink() for name, sink in sinks.items()}
    writers = {name: Writer(name, sink, rate=rate) for name, sink in made.items()}
    try:
        for name, sink in made.items():
            try:
                sink.make()
            except Exception as error:
                raise EnvironmentFailed(
                    f"the drill could not write to {name}", because=str(error).strip(), way_out="holdfast status"
                ) from error
        for writer in writers.values():
            writer.start()
        yield writers
    finally:
        for writer in writers.values():
            writer.stop()
        _remove(made)


def _remove(sinks: dict[str, Sink]) -> None:
    """Remove what was written. Raises EnvironmentFailed that names the stores in which it stays."""
    said = {}
    for name, sink in sinks.items():
        try:
            sink.remove()
        except Exception as error:  # noqa: BLE001 - one store that is away must not keep the others from being tidied
            said[name] = str(error).strip().partition("\n")[0]
        sink.close()
    if said:
        raise EnvironmentFailed(
            f"what the drill wrote to {', '.join(said)} could not be removed",
            because="; ".join(said.values()),
            way_out="run the drill again when they answer: it begins by removing it",
        )
