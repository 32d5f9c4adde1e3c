"""The load worker over HTTP/2 without TLS (RFC 9113, prior knowledge): `python -P -m bench._h2 PLAN.json`.

Engine, ledger and figures are those of holdfast.load. Only the wire differs: every request is a stream of one of a few
connections. A connection that the server is about to end (GOAWAY) gets no new streams; streams that it says it has not
begun are sent again on another one.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import msgspec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError

from holdfast.durable import replace_file
from holdfast.ledger import LedgerWriter
from holdfast.load import worker
from holdfast.load.connection import HttpConnection, User
from holdfast.load.engine import Engine
from holdfast.load.plan import LoadPlan
from holdfast.load.pool import Taker
from holdfast.load.process import LoadProcess
from holdfast.timeline import Timeline

CONNECTIONS = 4
NOT_BEGUN = "refused: the connection was ending"
FRAME_HEAD = 9
GOAWAY, REFUSED_STREAM = 7, 7
"""A frame's type, RFC 9113 §6.8, and an error code, §7."""


def start_h2(plan: LoadPlan) -> LoadProcess:
    """Start this worker as LoadProcess.start starts its own; requests flow when this returns."""
    folder = Path(plan.run_dir)
    plan_file = folder / f"load-{plan.stream}.plan.json"
    replace_file(plan_file, msgspec.json.encode(plan), mode=0o600)
    log = folder / f"load-{plan.stream}.log"
    argv = [sys.executable, "-P", "-m", "bench._h2", str(plan_file)]
    with log.open("ab") as errors:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        )
    process = LoadProcess(plan, child, log)
    try:
        process._await_ready()
    except BaseException:
        process.kill()
        raise
    return process


class Stream:
    """One request on a connection: to its exchange it looks like a connection of its own."""

    waited = heard = False
    media_type = ""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.user: User | None = None
        self.id = 0
        self.status = 0
        self.color = self.instance = self.executed = ""

    def send(self, user: User, data: bytes) -> None:
        """Take a request in the form of HTTP/1.1, and send it."""
        self.user = user
        self._wire.ask(self, *as_h2(data))

    def ended(self) -> None:
        """The answer is whole."""
        user, self.user = self.user, None
        if user is not None:
            user.completed(cast(HttpConnection, self))

    def broke(self, why: str, *, begun: bool) -> None:
        """There is no whole answer. A stream that was certainly not begun may be sent again (RFC 9113 §8.7)."""
        user, self.user = self.user, None
        self.waited = not begun
        if user is not None:
            user.lost(cast(HttpConnection, self), why)

    def abandon(self) -> None:
        """Its user has lost patience."""
        self.user = None
        self._wire.forget(self)

    def close(self) -> None:
        """A stream ends by itself; its connection stays."""


class Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Stream] = {}
        self._rest = b""
        self._ending = False
        self.ready = asyncio.get_running_loop().create_future()

    @property
    def usable(self) -> bool:
        """Whether new streams may be opened."""
        return self._transport is not None and not self._transport.is_closing() and not self._ending

    def ask(self, stream: Stream, headers: list[tuple[str, str]], body: bytes) -> None:
        """Open a stream."""
        try:
            stream.id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream.id, headers, end_stream=not body)
            if body:
                self._h2.send_data(stream.id, body, end_stream=True)
        except ProtocolError as error:
            stream.broke(f"{NOT_BEGUN}: {error}", begun=False)
            return
        self._streams[stream.id] = stream
        self._flush()

    def forget(self, stream: Stream) -> None:
        """Nobody waits for this one any more."""
        if self._streams.pop(stream.id, None) is not None and self.usable:
            self._h2.reset_stream(stream.id)
            self._flush()

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call."""
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Asyncio's call."""
        frames, self._rest = cut(self._rest + data)
        try:
            for frame in frames:
                if frame[3] == GOAWAY:
                    self._go_away(int.from_bytes(frame[FRAME_HEAD : FRAME_HEAD + 4]) & 0x7FFFFFFF)
                    continue
                for event in self._h2.receive_data(frame):
                    self._take(event)
        except ProtocolError as error:
            self._break(f"not HTTP/2: {error}")
            return
        self._flush()
        if self._ending and not self._streams:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's call."""
        self._transport = None
        if not self.ready.done():
            self.ready.set_exception(ConnectionResetError("closed before the server's settings came"))
        self._break(f"connection ended: {exc or 'closed by the server'}")

    def _take(self, event: Event) -> None:
        match event:
            case RemoteSettingsChanged() if not self.ready.done():
                self.ready.set_result(None)
            case ResponseReceived(stream_id=int(number)) if number in self._streams:
                _read_head(self._streams[number], event)
            case DataReceived(stream_id=int(number)):
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
            case StreamEnded(stream_id=int(number)) if number in self._streams:
                self._streams.pop(number).ended()
            case StreamReset(stream_id=int(number)) if number in self._streams:
                refused = event.error_code == REFUSED_STREAM
                self._streams.pop(number).broke(f"stream reset, error {event.error_code}", begun=not refused)

    def _go_away(self, last: int) -> None:
        """Streams above `last` were not begun (RFC 9113 §6.8); the others go on, for which h2 has no state."""
        self._ending = True
        for number in [number for number in self._streams if number > last]:
            self._streams.pop(number).broke(NOT_BEGUN, begun=False)

    def _break(self, why: str) -> None:
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.broke(why, begun=True)
        self.close()

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(self._h2.data_to_send())


class H2Pool:
    """A few connections; requests take turns on them. One that ends is followed by another."""

    queued = 0

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._host, self._port = str(target.hostname), target.port or 80
        self._wires: list[Wire] = []
        self._turn = 0
        self._opening: set[asyncio.Task[None]] = set()

    async def warm_up(self, count: int) -> None:
        """Open the connections."""
        for _ in range(min(count, CONNECTIONS)):
            await self._open()

    def take(self, taker: Taker, *, new: bool) -> None:
        """Give a stream of the next connection, or of one that is opened for it."""
        self._wires = [wire for wire in self._wires if wire.usable]
        if self._wires and not (new and len(self._wires) < CONNECTIONS):
            self._turn += 1
            taker.begun(None)
            taker.connected(cast(HttpConnection, Stream(self._wires[self._turn % len(self._wires)])))
            return
        task = asyncio.get_running_loop().create_task(self._open_for(taker))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        taker.begun(task)

    def give_up(self) -> list[Taker]:
        """Nobody waits here."""
        return []

    async def close(self) -> None:
        """Close all."""
        for wire in self._wires:
            wire.close()
        for task in list(self._opening):
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)

    def released(self, connection: object) -> None:
        """A stream is used once."""

    async def _open_for(self, taker: Taker) -> None:
        try:
            wire = await self._open()
        except OSError as error:
            taker.refused(f"no connection: {error.strerror or error}")
        else:
            taker.connected(cast(HttpConnection, Stream(wire)))

    async def _open(self) -> Wire:
        _, wire = await asyncio.get_running_loop().create_connection(Wire, self._host, self._port)
        await wire.ready
        self._wires.append(wire)
        return wire


class H2Engine(Engine):
    """The engine of holdfast.load on that pool."""

    def __init__(self, plan: LoadPlan, ledger: LedgerWriter, timeline: Timeline) -> None:
        super().__init__(plan, ledger, timeline)
        self._pool = H2Pool(plan.url)  # type: ignore[assignment] # what the engine and the exchanges ask of a pool


def as_h2(data: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """A request of holdfast.load, written for HTTP/1.1, as HTTP/2's headers and body."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    named = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
    authority = next(value for name, value in named if name == "host")
    kept = [(name, value) for name, value in named if name not in ("host", "connection")]
    pseudo = [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path)]
    return [*pseudo, *kept], body


def cut(data: bytes) -> tuple[list[bytes], bytes]:
    """Bytes as whole frames (RFC 9113 §4.1), and the rest."""
    frames = []
    while len(data) >= FRAME_HEAD and len(data) >= (size := FRAME_HEAD + int.from_bytes(data[:3])):
        frames.append(data[:size])
        data = data[size:]
    return frames, data


def _read_head(stream: Stream, event: ResponseReceived) -> None:
    stream.heard = True
    headers = {str(name): str(value) for name, value in event.headers or ()}
    stream.status = int(headers[":status"])
    stream.color = headers.get("x-holdfast-color", "")
    stream.instance = headers.get("x-service-instance", "")
    stream.executed = headers.get("x-request-executed", "")


if __name__ == "__main__":
    vars(worker)["Engine"] = H2Engine  # the worker makes the engine
    sys.exit(worker.main(sys.argv[1]))
