"""Server-sent events: a stream has succeeded when `done` was read; one that breaks off is resumed where it ended.

The format and reconnection: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.ledger import ACKNOWLEDGED, UNKNOWN
from holdfast.load.connection import HttpConnection
from holdfast.load.pool import Pool
from holdfast.load.protocols.http import HttpExchange
from holdfast.load.recorder import Recorder
from holdfast.load.request import Start

MAX_RESUMES = 5
FIRST_DELAY = 0.1
"""Seconds before the first try to resume, unless the server says `retry:`; each further one waits twice as long."""

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event, or a bare `retry` (milliseconds) with an empty kind."""

    kind: str
    id: str
    retry: int | None


class EventReader:
    """Cuts a stream of bytes into events; a part of an event waits for its rest."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[bytes, bytes] = {}

    def feed(self, data: bytes) -> Iterator[StreamEvent]:
        """Yield the events that `data` completes."""
        *lines, self._rest = _LINE_END.split(self._rest + data)
        for line in lines:
            if not line:
                fields, self._fields = self._fields, {}
                if fields:
                    yield _event(fields)
                continue
            name, _, value = line.partition(b":")
            if name:
                self._fields[name] = value.removeprefix(b" ")


def _event(fields: dict[bytes, bytes]) -> StreamEvent:
    retry = fields.get(b"retry", b"")
    named = fields.get(b"event", b"message" if b"data" in fields else b"")
    return StreamEvent(named.decode(), fields.get(b"id", b"").decode(), int(retry) if retry.isdigit() else None)


class SseExchange(HttpExchange):
    """One stream, over as many connections as it takes; its event ids must be 1, 2, 3… across all of them."""

    __slots__ = ("_delay", "_disorder", "_last_id", "_reader", "_resumes", "_streaming", "_timer")

    def __init__(self, start: Start, pool: Pool, recorder: Recorder) -> None:
        super().__init__(start, pool, recorder)
        self._reader = EventReader()
        self._last_id = 0
        self._disorder = ""
        self._resumes = 0
        self._delay = FIRST_DELAY
        self._streaming = False
        self._timer: asyncio.TimerHandle | None = None

    def connected(self, connection: HttpConnection) -> None:
        """The pool's call: ask for the stream, or for its rest."""
        self._reader = EventReader()
        self._streaming = False
        super().connected(connection)

    def head(self, connection: HttpConnection) -> None:
        """The connection's call: does a stream begin?"""
        self._streaming = connection.status == 200 and connection.media_type.startswith("text/event-stream")

    def body(self, data: bytes) -> None:
        """The connection's call: read events; the stream is settled as soon as `done` is there."""
        if not self._streaming or self.settled:
            return
        for event in self._reader.feed(data):
            self._take(event)

    def completed(self, connection: HttpConnection) -> None:
        """The connection's call: the answer is whole, which does not say that the stream is."""
        if self.settled:
            self._leave(connection)
        elif self._streaming:
            self._broke_off(connection, "the stream ended before `done`")
        elif self._resumes and connection.status >= 500:
            self._broke_off(connection, f"the resume was answered {connection.status}")
        else:
            state = self._state(connection)
            self._settle(UNKNOWN if state == ACKNOWLEDGED else state, connection, "no stream in the answer")
            self._leave(connection)

    def lost(self, connection: HttpConnection, why: str) -> None:
        """The connection's call: cut off."""
        if self.settled:
            self._leave(connection)
        elif connection.waited and not connection.heard:
            super().lost(connection, why)
        else:
            self._broke_off(connection, why)

    def refused(self, why: str) -> None:
        """The pool's call. A resume that finds nobody is tried again."""
        if self._resumes:
            self._broke_off(None, why)
        else:
            super().refused(why)

    def expire(self, why: str) -> None:
        """The worker's call: time is up."""
        if self._timer is not None:
            self._timer.cancel()
        super().expire(f"{why}, after event {self._last_id}")

    def _take(self, event: StreamEvent) -> None:
        if event.retry is not None:
            self._delay = event.retry / 1000
        if event.id:
            self._check_order(event.id)
        if event.kind == "done":
            self._settle(UNKNOWN if self._disorder else ACKNOWLEDGED, self._connection, self._disorder)

    def _check_order(self, id_: str) -> None:
        expected = self._last_id + 1
        if id_ == str(expected):
            self._last_id = expected
        else:
            self._disorder = self._disorder or f"event id {id_} where {expected} was due"

    def _broke_off(self, connection: HttpConnection | None, why: str) -> None:
        """Come back after a pause with the same ids and the last event's, or give up."""
        self._connection = None
        if connection is not None and self.start.fresh:
            connection.close()
        if self._disorder or self._resumes == MAX_RESUMES or not self.start.template.repeatable:
            self._end_unanswered(f"{why}, after event {self._last_id}; {self._disorder}".rstrip("; "), connection)
            return
        self._resumes += 1
        delay = self._delay
        self._delay = delay * 2
        self._timer = asyncio.get_running_loop().call_later(delay, self._resume)

    def _resume(self) -> None:
        self._timer = None
        if not self.settled:
            self._repeat()

    def _encode(self) -> bytes:
        return self.start.template.encode(self.start, str(self._last_id) if self._last_id else "")

    def _history(self) -> str:
        times = f"resumed {self._resumes}x" if self._resumes else ""
        return times or super()._history()
