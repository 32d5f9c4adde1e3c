"""The load worker over HTTP/2: whole answers, and a server that says goodbye to a connection in mid-work."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from bench._h2 import as_h2, cut, start_h2
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from holdfast.ledger import ACKNOWLEDGED, UNKNOWN, Request
from holdfast.load.arrivals import Constant
from holdfast.load.plan import LoadPlan
from holdfast.load.profile import HttpRoute, Profile
from holdfast.run import open_run, read_history

RATE = 100
ANSWER_S = 0.03
HEADERS = [(":status", "200"), ("x-holdfast-color", "blue"), ("x-service-instance", "test#1")]
POST = HttpRoute(path="/chat", method="POST", body={"n": "{n}"}, idempotency_key=True)
UNKEYED = HttpRoute(path="/chat", method="POST", body={"n": "{n}"})


class Served(asyncio.Protocol):
    """Answers each request a little later. After `goodbye` streams of a connection GOAWAY; what comes is ignored."""

    def __init__(self, goodbye: int, seen: Counter[str]) -> None:
        self._goodbye = goodbye
        self._seen = seen
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._last = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, RequestReceived) and not self._last:
                headers = {str(name): str(value) for name, value in event.headers or ()}
                self._seen[headers["x-request-id"]] += 1
            if isinstance(event, DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            if isinstance(event, StreamEnded) and not self._last:
                asyncio.get_running_loop().call_later(ANSWER_S, self._answer, event.stream_id)
                if self._goodbye and (event.stream_id or 0) >= 2 * self._goodbye - 1:
                    self._say_goodbye(event.stream_id or 0)
        self._flush()

    def _say_goodbye(self, last: int) -> None:
        self._last = last
        self._transport.write(goaway(last))

    def _answer(self, stream: int) -> None:
        if not self._transport.is_closing():
            self._h2.send_headers(stream, HEADERS)
            self._h2.send_data(stream, b"{}", end_stream=True)
            self._flush()

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())


def goaway(last: int) -> bytes:
    """The frame (RFC 9113 §6.8): 8 bytes long, type 7, no flags, stream 0; no error."""
    return (8).to_bytes(3) + bytes([7, 0]) + (0).to_bytes(4) + last.to_bytes(4) + (0).to_bytes(4)


@contextmanager
def serving(goodbye: int, seen: Counter[str]) -> Iterator[str]:
    """The server in a thread of its own; its URL."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: Served(goodbye, seen), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def load(folder: Path, url: str, route: HttpRoute, seconds: float = 2.0) -> list[Request]:
    """What became of the requests."""
    run = open_run(folder, command="test")
    duration = f"{round(seconds * 1000)}ms"
    profile = Profile(name="h2", arrivals=Constant(rate=RATE), duration=duration, timeout="1s", mix={"chat": route})
    plan = LoadPlan(stream="h2", url=url, profile=profile, run_dir=str(run.path), run_id=run.id, seed=1, drain=3)
    start_h2(plan).wait(seconds + 10)
    run.close()
    return read_history(run.path).requests


def test_requests_are_answered_and_colored(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    with serving(0, seen) as url:
        requests = load(tmp_path, url, POST)
    assert len(requests) == RATE * 2
    assert {r.state for r in requests} == {ACKNOWLEDGED}
    assert {(r.settled.color, r.settled.instance) for r in requests if r.settled} == {("blue", "test#1")}
    assert set(seen.values()) == {1}


@pytest.mark.parametrize("route", [POST, UNKEYED], ids=["keyed", "unkeyed"])
def test_a_goodbye_costs_no_request_that_was_begun_and_repeats_only_what_may_be(
    tmp_path: Path, route: HttpRoute
) -> None:
    seen: Counter[str] = Counter()
    with serving(10, seen) as url:
        requests = load(tmp_path, url, route)
    states = Counter(r.state for r in requests)
    assert len(requests) == RATE * 2
    assert set(seen.values()) == {1}, "no request was begun twice"
    assert states[ACKNOWLEDGED] == len(seen)
    if route is POST:
        assert states[UNKNOWN] == 0


def test_frames_are_cut_where_they_end() -> None:
    frames = [b"\x00\x00\x02\x06\x00\x00\x00\x00\x00ab", b"\x00\x00\x00\x04\x01\x00\x00\x00\x00"]
    whole = b"".join(frames)
    assert cut(whole) == (frames, b"")
    for at in range(len(frames[0]), len(whole)):
        assert cut(whole[:at]) == (frames[:1], whole[len(frames[0]) : at])


def test_a_request_is_rewritten_without_what_http2_forbids() -> None:
    data = b"POST /chat HTTP/1.1\r\nhost: a:1\r\nAccept: */*\r\nconnection: close\r\n\r\n{}"
    headers, body = as_h2(data)
    assert headers == [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a:1"),
        (":path", "/chat"),
        ("accept", "*/*"),
    ]
    assert body == b"{}"
