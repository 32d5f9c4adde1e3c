"""HTTP/1.1: one request, one answer, and what the client may conclude from it."""

from __future__ import annotations

import asyncio

from holdfast.ledger import ACCEPTED, ACKNOWLEDGED, FAILED, UNKNOWN, Settled
from holdfast.load.connection import HttpConnection
from holdfast.load.pool import Pool
from holdfast.load.recorder import Recorder
from holdfast.load.request import Start
from holdfast.timeline import now


def state_of(status: int, executed: str) -> str:
    """Read an answer in the ledger's words. `executed` is the header `x-request-executed`.

    2xx is final success, 202 a promise; 4xx: refused before dispatch; 5xx does not tell, unless the server says "no".
    """
    if status == 202:
        return ACCEPTED
    if 200 <= status < 300:
        return ACKNOWLEDGED
    if 400 <= status < 500 or (status >= 500 and executed.lower() == "no"):
        return FAILED
    return UNKNOWN


class HttpExchange:
    """Carries out one start: takes a connection, offers, sends, reads the answer, settles."""

    __slots__ = (
        "_connecting",
        "_connection",
        "_dispatched",
        "_pool",
        "_recorder",
        "_repeats",
        "begun_at",
        "settled",
        "start",
    )

    def __init__(self, start: Start, pool: Pool, recorder: Recorder) -> None:
        self.start = start
        self.begun_at = 0
        self.settled = False
        self._pool = pool
        self._recorder = recorder
        self._connecting: asyncio.Task[None] | None = None
        self._connection: HttpConnection | None = None
        self._dispatched = False
        self._repeats = 0

    def begin(self) -> None:
        """Ask for a connection; everything else follows from the pool's and the connection's calls."""
        self._pool.take(self, new=self.start.fresh)

    def begun(self, connecting: asyncio.Task[None] | None) -> None:
        """The pool's call: our turn has come."""
        self._connecting = connecting
        if not self.begun_at:
            self.begun_at = now()
            self._recorder.begun(self, self.start)

    def connected(self, connection: HttpConnection) -> None:
        """The pool's call: offer, then send."""
        self._connecting = None
        if self.settled:
            self._pool.released(connection)
            return
        self._connection = connection
        self._recorder.offer(self.start, now())
        self._dispatched = True
        connection.send(self, self._encode())

    def refused(self, why: str) -> None:
        """The pool's call: there is no connection. Certainly not executed, unless an earlier try may have been."""
        self._connecting = None
        self._end_unanswered(why)

    def head(self, connection: HttpConnection) -> None:
        """The connection's call; the whole answer is awaited."""

    def body(self, data: bytes) -> None:
        """The connection's call; the content of an answer does not matter here."""

    def completed(self, connection: HttpConnection) -> None:
        """The connection's call: the answer is whole."""
        self._settle(self._state(connection), connection)
        self._leave(connection)

    def lost(self, connection: HttpConnection, why: str) -> None:
        """The connection's call: no whole answer. A connection that may have been closed while idle is tried once more.

        RFC 9110 §9.2.2 allows that for a request that is safe or known to be idempotent, and only for those.
        """
        self._connection = None
        idle_close = connection.waited and not connection.heard
        if idle_close and self._repeats == 0 and self.start.template.repeatable:
            self._repeat()
        else:
            self._end_unanswered(why, connection)

    def expire(self, why: str) -> None:
        """The worker's call: time is up."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()
        self._end_unanswered(why, connection)

    def _repeat(self) -> None:
        """Send the same request, with the same ids, over a new connection."""
        self._repeats += 1
        self._recorder.repeated(self.start)
        self._pool.take(self, new=True)

    def _encode(self) -> bytes:
        return self.start.template.encode(self.start)

    def _state(self, connection: HttpConnection) -> str:
        """What the answer says; after a repeat, "not executed" speaks of the last try only."""
        state = state_of(connection.status, connection.executed)
        return UNKNOWN if state == FAILED and self._repeats else state

    def _end_unanswered(self, why: str, connection: HttpConnection | None = None) -> None:
        if not self._dispatched:
            self._recorder.offer(self.start, self.begun_at)
        self._settle(UNKNOWN if self._dispatched else FAILED, connection, why)
        self._recorder.left(self)

    def _settle(self, state: str, connection: HttpConnection | None, detail: str = "") -> None:
        if self.settled:
            return
        self.settled = True
        status, color, instance = (
            (connection.status, connection.color, connection.instance) if connection is not None else (0, "", "")
        )
        said = "; ".join(part for part in (detail, self._history()) if part)
        record = Settled(self.start.id, now(), state, status, color, instance, said)
        self._recorder.settle(self.start, self.begun_at, record)

    def _history(self) -> str:
        return "sent again, the kept connection had been closed" if self._repeats else ""

    def _leave(self, connection: HttpConnection) -> None:
        self._connection = None
        if self.start.fresh:
            connection.close()
        self._recorder.left(self)
