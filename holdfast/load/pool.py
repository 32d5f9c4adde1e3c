"""The connections of a load worker to its one address. When all are taken, whoever comes waits; nobody is dropped."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import OrderedDict, deque
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit

from holdfast.errors import UsageError
from holdfast.load.connection import HttpConnection, User

WARM_UP_TIMEOUT = 2.0
"""Seconds that opening the first connections may take; after that the load begins without them."""


class Taker(User, Protocol):
    """Whoever asks the pool for a connection."""

    def begun(self, connecting: asyncio.Task[None] | None) -> None:
        """Its turn has come; `connecting` opens a connection for it and may be cancelled."""
        ...

    def connected(self, connection: HttpConnection) -> None:
        """Here it is."""
        ...

    def refused(self, why: str) -> None:
        """There is none to be had: nothing was sent."""
        ...

    def expire(self, why: str) -> None:
        """It waits in vain."""
        ...


class Pool:
    """At most `limit` connections, open or opening, to the host of `url`."""

    def __init__(self, url: str, limit: int) -> None:
        target = urlsplit(url)
        if target.scheme not in ("http", "https") or not target.hostname:
            raise UsageError(f"{url} is no http URL", way_out="give one like http://127.0.0.1:8080")
        self._name = target.hostname
        self._port = target.port or (443 if target.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if target.scheme == "https" else None
        self._host = target.hostname
        self._limit = limit
        self._all: set[HttpConnection] = set()
        self._idle: OrderedDict[HttpConnection, None] = OrderedDict()
        self._waiting: deque[tuple[Taker, bool]] = deque()
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def queued(self) -> int:
        """How many wait for a connection."""
        return len(self._waiting)

    async def warm_up(self, count: int) -> None:
        """Look the host up once and open `count` connections; a target that is down is found out by the requests."""
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            found = await loop.getaddrinfo(self._name, self._port, type=socket.SOCK_STREAM)
            self._host = str(found[0][4][0])
        await asyncio.gather(*(self._warm_one() for _ in range(min(count, self._limit))))

    async def _warm_one(self) -> None:
        connection = self._member()
        try:
            async with asyncio.timeout(WARM_UP_TIMEOUT):
                await self._dial(connection)
        except OSError:
            self.closed(connection)
        else:
            self.released(connection)

    def take(self, taker: Taker, *, new: bool) -> None:
        """Give `taker` an idle connection, or open one; `new`: one that was never used. Waits when all are taken."""
        if not new and (connection := self._pop_idle()):
            taker.begun(None)
            taker.connected(connection)
            return
        if self._has_room:
            self._open(taker)
        else:
            self._waiting.append((taker, new))
            self._serve()

    def give_up(self) -> list[Taker]:
        """Empty the queue; whoever waited is handed back."""
        waiting, self._waiting = self._waiting, deque()
        return [taker for taker, _ in waiting]

    async def close(self) -> None:
        """Close what is idle, cancel what is opening."""
        while connection := self._pop_idle():
            connection.close()
        for task in list(self._opening):
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)

    def released(self, connection: HttpConnection) -> None:
        """A connection's call: it is idle."""
        connection.waited = True
        self._idle[connection] = None
        self._serve()

    def closed(self, connection: HttpConnection) -> None:
        """A connection's call: it is gone."""
        self._all.discard(connection)
        self._idle.pop(connection, None)
        self._serve()

    @property
    def _has_room(self) -> bool:
        return len(self._all) < self._limit

    def _serve(self) -> None:
        """Give the first in the queue what is free; if it wants a new connection, an idle one makes room."""
        if not self._waiting:
            return
        taker, new = self._waiting[0]
        if self._has_room or (self._idle and not new):
            self._waiting.popleft()
            self.take(taker, new=new)
        elif spare := self._pop_idle():
            spare.close()

    def _pop_idle(self) -> HttpConnection | None:
        """The one that was idle longest, so that all kept connections stay in use and meet every switch."""
        while self._idle:
            connection, _ = self._idle.popitem(last=False)
            if connection.usable:
                return connection
        return None

    def _open(self, taker: Taker) -> None:
        connection = self._member()
        task = asyncio.get_running_loop().create_task(self._open_for(taker, connection))
        self._opening.add(task)
        task.add_done_callback(self._opened)
        taker.begun(task)

    async def _open_for(self, taker: Taker, connection: HttpConnection) -> None:
        try:
            await self._dial(connection)
        except OSError as error:
            taker.refused(f"no connection: {error.strerror or error}")
            self.closed(connection)
        except asyncio.CancelledError:
            self.closed(connection)
            raise
        else:
            taker.connected(connection)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()):
            asyncio.get_running_loop().call_exception_handler({"message": "a callback failed", "exception": error})

    def _member(self) -> HttpConnection:
        """A connection that counts from now on, before it is open."""
        connection = HttpConnection(self)
        self._all.add(connection)
        return connection

    async def _dial(self, connection: HttpConnection) -> None:
        name = self._name if self._tls else None
        await asyncio.get_running_loop().create_connection(
            lambda: connection, self._host, self._port, ssl=self._tls, server_hostname=name
        )
