"""The events of a stream in Redis: what makes it resumable by any gateway.

Event N of request R is entry `N-0` of the Redis stream `sse:R`. Redis refuses an id that is not after the last one, so
two gateways that produce the same stream cannot both write event N: one of them is told that it is late.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from services.common.config import Stream
from services.common.env import BadEnv, Identity
from services.common.log import lifecycle_event
from services.gateway.sse import Event

if TYPE_CHECKING:
    from redis.asyncio import Redis

CONNECT_TIMEOUT_S = 0.3
ANSWER_TIMEOUT_S = 0.5
# After a failure Redis is left alone for this long, so that in an outage one stream in a while waits for it, not all.
REST_S = 1.0
RELEASED_TTL_S = 60


# What redis-py takes and gives here; its own types also cover decoded answers and other commands.
Field = bytes | bytearray | memoryview | str | int | float
Entries = list[tuple[bytes, dict[bytes, bytes]]]


class Late(Exception):
    """Another producer wrote this event first."""


class Away(Exception):
    """Redis does not answer."""


class EventLog:
    """Appends and reads the events of streams. Every method raises Away when Redis does not answer."""

    def __init__(self, identity: Identity, url: str, config: Stream) -> None:
        self._identity = identity
        self._url = url
        self._config = config
        self._client: Redis | None = None
        self._rest_until = 0.0
        self.available = True

    def load(self) -> None:
        """Import and build the client: 0.05 CPU seconds, 0.3 without bytecode, which a thread may spend while the
        process already serves. Raises BadEnv for a URL that is none."""
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        try:
            self._client = Redis.from_url(
                self._url,
                socket_connect_timeout=CONNECT_TIMEOUT_S,
                socket_timeout=ANSWER_TIMEOUT_S,
                retry=Retry(NoBackoff(), 1),  # one more try: a connection may have died in the pool
            )
        except ValueError as error:
            raise BadEnv(f"REDIS_URL: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def append(self, request_id: str, event: Event, first: bool) -> None:
        """Keep one event; the `first` of a producer also sets when the stream expires. Raises Late too."""
        key = _events_key(request_id)
        entry: dict[Field, Field] = {"kind": event.kind, "data": event.data}
        async with self._redis() as redis, redis.pipeline(transaction=False) as commands:
            commands.xadd(key, entry, id=f"{event.number}-0", maxlen=self._config.cap, approximate=False)
            if first:
                commands.expire(key, self._config.ttl_s)
            await commands.execute()

    async def after(self, request_id: str, number: int) -> list[Event]:
        """The events that follow `number`. Empty when there are none, or when the next one is no longer kept."""
        async with self._redis() as redis:
            entries = cast(Entries, await redis.xrange(_events_key(request_id), min=f"({number}-0"))
        events = [_event(entry_id, fields) for entry_id, fields in entries]
        return events if events and events[0].number == number + 1 else []

    async def release(self, request_id: str) -> None:
        """Say that nobody produces this stream any more: whoever resumes it need not wait."""
        async with self._redis() as redis:
            await redis.set(_released_key(request_id), 1, ex=RELEASED_TTL_S)

    async def take_released(self, request_id: str) -> bool:
        """True for exactly one caller after a release."""
        async with self._redis() as redis:
            return bool(await redis.delete(_released_key(request_id)))

    @asynccontextmanager
    async def _redis(self) -> AsyncIterator["Redis"]:
        from redis.exceptions import RedisError, ResponseError

        if self._client is None or time.monotonic() < self._rest_until:
            raise Away("not loaded yet, or failed a moment ago")
        try:
            yield self._client
        except ResponseError as error:
            if "equal or smaller" in str(error):
                raise Late from error
            raise self._lost(error) from error
        except (RedisError, OSError) as error:
            raise self._lost(error) from error
        self._note(available=True)

    def _lost(self, error: Exception) -> Away:
        self._rest_until = time.monotonic() + REST_S
        self._note(available=False, error=f"{type(error).__name__}: {error}")
        return Away(str(error))

    def _note(self, available: bool, **details: object) -> None:
        if available != self.available:
            self.available = available
            lifecycle_event(self._identity, "redis-usable" if available else "redis-lost", **details)


def _events_key(request_id: str) -> str:
    return f"sse:{request_id}"


def _released_key(request_id: str) -> str:
    return f"sse-released:{request_id}"


def _event(entry_id: bytes, fields: dict[bytes, bytes]) -> Event:
    return Event(int(entry_id.partition(b"-")[0]), fields[b"kind"].decode(), fields[b"data"])
