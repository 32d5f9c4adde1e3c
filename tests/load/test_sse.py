"""Streams: `done` is success, a break is resumed where it was, and the order of events is checked."""

from __future__ import annotations

import pytest
from support.load import Loaded, Server

from holdfast.ledger import ACKNOWLEDGED, FAILED, UNKNOWN
from holdfast.load.protocols.sse import EventReader

KEYED = {"kind": "sse", "method": "POST", "body": {"message": "about {n}"}, "idempotency_key": True, "effect": True}
UNKEYED = {**KEYED, "idempotency_key": False}


def test_a_stream_is_acknowledged_when_done_was_read(loaded: Loaded) -> None:
    requests = loaded("/stream", route=KEYED)
    assert {(r.state, r.settled.detail) for r in requests if r.settled} == {(ACKNOWLEDGED, "")}


def test_a_stream_that_breaks_off_is_resumed_after_its_last_event(loaded: Loaded, server: Server) -> None:
    requests = loaded("/stream-breaks", route=KEYED)
    assert {(r.state, r.settled.detail) for r in requests if r.settled} == {(ACKNOWLEDGED, "resumed 1x")}
    for request in requests:
        first, second = (each for each in server.seen("/stream-breaks") if each["x-request-id"] == request.id)
        assert "last-event-id" not in first
        assert second["last-event-id"] == "2"
        assert first["idempotency-key"] == second["idempotency-key"]


def test_a_resumed_stream_counts_from_when_it_was_sent_last(loaded: Loaded) -> None:
    assert all(r.offered.sent - r.offered.intended >= 90e6 for r in loaded("/stream-breaks", route=KEYED))


def test_the_servers_retry_is_honoured(loaded: Loaded) -> None:
    requests = loaded("/stream-moves", route=KEYED)
    assert {r.state for r in requests} == {ACKNOWLEDGED}
    assert all(290e6 <= (r.latency or 0) <= 600e6 for r in requests)


def test_a_broken_stream_without_a_key_is_unknown(loaded: Loaded) -> None:
    assert {r.state for r in loaded("/stream-breaks", route=UNKEYED)} == {UNKNOWN}


def test_a_stream_that_never_is_done_is_unknown_after_a_bounded_number_of_tries(loaded: Loaded, server: Server) -> None:
    requests = loaded("/stream-endless", route=KEYED, rate=10, timeout="8s", drain=8)
    assert {r.state for r in requests} == {UNKNOWN}
    tries = [each for each in server.seen("/stream-endless") if each["x-request-id"] == requests[0].id]
    assert len(tries) == 6


@pytest.mark.parametrize(
    ("path", "said"), [("/stream-gap", "event id 4 where 3 was due"), ("/stream-repeats", "event id 2 where 3 was due")]
)
def test_a_gap_or_a_repeat_is_unknown_and_said(loaded: Loaded, path: str, said: str) -> None:
    assert {(r.state, r.settled.detail) for r in loaded(path, route=KEYED) if r.settled} == {(UNKNOWN, said)}


@pytest.mark.parametrize(
    ("path", "state"), [("/plain", UNKNOWN), ("/refused", FAILED), ("/failing", UNKNOWN), ("/not-executed", FAILED)]
)
def test_an_answer_that_is_no_stream_is_no_success(loaded: Loaded, path: str, state: str) -> None:
    requests = loaded(path, route=KEYED)
    assert {(r.state, r.settled.detail) for r in requests if r.settled} == {(state, "no stream in the answer")}


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_events_are_read_whole_however_they_are_cut(line_end: bytes) -> None:
    text = b": hello\nid: 1\nevent: token\ndata: a\n\nretry: 50\n\nid: 2\ndata: b\n\nevent: done\nid:3\n\n"
    data = text.replace(b"\n", line_end) + b": end"
    whole = list(EventReader().feed(data))
    assert [(e.kind, e.id, e.retry) for e in whole] == [
        ("token", "1", None),
        ("", "", 50),
        ("message", "2", None),
        ("done", "3", None),
    ]
    for size in (1, 2, 3, 7):
        reader = EventReader()
        cut = [data[at : at + size] for at in range(0, len(data), size)]
        assert [event for part in cut for event in reader.feed(part)] == whole
