"""Streams: numbered events, a resume on any gateway, an outage of Redis, a reader that is slow."""

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis as RedisClient
from support import services

Effects = Callable[[str], list[str]]
MESSAGE = "tell me a story"


@contextlib.contextmanager
def opened(
    url: str, request_id: str, after: int = 0, message: str = MESSAGE
) -> Iterator[Iterator[services.StreamEvent]]:
    """A stream's events as they arrive."""
    headers = {"x-request-id": request_id} | ({"last-event-id": str(after)} if after else {})
    body = {"message": message}
    with httpx.stream("POST", f"{url}/v1/chat/stream", json=body, headers=headers, timeout=15) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield services.read_events(answer.iter_lines())


def whole(url: str, request_id: str, after: int = 0) -> list[services.StreamEvent]:
    with opened(url, request_id, after) as events:
        return list(events)


def assert_complete(events: list[services.StreamEvent], after: int = 0) -> None:
    """Every number once, in order, up to `done`."""
    assert [event.number for event in events] == list(range(after + 1, after + 1 + len(events)))
    assert [event.kind for event in events] == ["token"] * (len(events) - 1) + ["done"]


def test_a_stream_is_numbered_and_ends_with_done(client: httpx.Client, effects: Effects, request_id: str) -> None:
    answer = client.get("/v1/chat/stream", params={"message": MESSAGE}, headers={"x-request-id": request_id})
    events = list(services.read_events(answer.text.splitlines()))
    assert_complete(events)
    text = "".join(str(event.data["text"]) for event in events[:-1])
    assert text == client.post("/v1/chat", json={"message": MESSAGE}).json()["answer"]
    done = events[-1].data
    assert done["usage"] == {"prompt_tokens": 4, "completion_tokens": len(events) - 1, "total_tokens": len(events) + 3}
    assert done["served_by"]["engine"]["instance"] == "engine-blue-1"  # type: ignore[index]
    assert effects(request_id) == [f"stream:{request_id}"]


def test_events_are_not_held_back(gateway: services.Service, request_id: str) -> None:
    with opened(gateway.url, request_id) as events:
        next(events)
        assert gateway.metric("service_in_flight") == 1
        assert list(events)[-1].kind == "done"


def test_a_stream_goes_on_at_another_gateway(
    gateway: services.Service, other_gateway: services.Service, effects: Effects, request_id: str
) -> None:
    with opened(gateway.url, request_id) as events:
        begun = [next(events) for _ in range(3)]
    resumed = whole(other_gateway.url, request_id, after=3)
    assert_complete(begun + resumed)
    assert effects(request_id) == [f"stream:{request_id}"]


def test_a_finished_stream_is_replayed_without_another_effect(
    gateway: services.Service, other_gateway: services.Service, effects: Effects, request_id: str
) -> None:
    events = whole(gateway.url, request_id)
    assert whole(other_gateway.url, request_id) == events
    assert whole(other_gateway.url, request_id, after=5) == events[5:]
    assert len(effects(request_id)) == 1


def test_a_stream_survives_the_death_of_its_gateway(
    folder: Path, engine: services.Service, redis: services.Redis, config: Path, other_gateway: services.Service,
    effects: Effects, request_id: str,
) -> None:  # fmt: skip
    with services.gateway(folder, engine.address, redis.url, config, "gateway-blue-2") as victim:
        begun: list[services.StreamEvent] = []
        with contextlib.suppress(httpx.TransportError), opened(victim.url, request_id) as events:
            for event in events:
                begun.append(event)
                if event.number == 4:
                    victim.child.send(signal.SIGKILL)
        assert 4 <= len(begun) < 15
    resumed = whole(other_gateway.url, request_id, after=len(begun))
    assert_complete(begun + resumed)
    assert effects(request_id) == [f"stream:{request_id}"]


def test_two_resumes_at_once_see_the_same_stream(
    gateway: services.Service, other_gateway: services.Service, effects: Effects, request_id: str
) -> None:
    with opened(gateway.url, request_id) as events:
        begun = [next(events) for _ in range(2)]
    seen: dict[str, list[services.StreamEvent]] = {}

    def resume(url: str) -> None:
        seen[url] = whole(url, request_id, after=2)

    threads = [threading.Thread(target=resume, args=(each.url,)) for each in (gateway, other_gateway)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert seen[gateway.url] == seen[other_gateway.url]
    assert_complete(begun + seen[gateway.url])
    assert effects(request_id) == [f"stream:{request_id}"]


def test_events_are_capped_and_expire(gateway: services.Service, redis: services.Redis, request_id: str) -> None:
    events = whole(gateway.url, request_id)
    with RedisClient.from_url(redis.url) as client:
        assert client.xlen(f"sse:{request_id}") == len(events)
        assert 0 < int(client.ttl(f"sse:{request_id}")) <= 3600


def test_a_resume_of_what_is_no_longer_kept_asks_the_engine_again(
    gateway: services.Service, other_gateway: services.Service, redis: services.Redis, request_id: str
) -> None:
    events = whole(gateway.url, request_id)
    with RedisClient.from_url(redis.url) as client:
        client.xtrim(f"sse:{request_id}", maxlen=2, approximate=False)
    resumed = whole(other_gateway.url, request_id, after=3)
    assert [event.number for event in resumed] == [event.number for event in events[3:]]
    assert resumed[-1].data["replayed"] is True


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "99999999999"])
def test_a_last_event_id_that_is_no_number_is_refused(client: httpx.Client, value: str) -> None:
    answer = client.get("/v1/chat/stream", params={"message": "x"}, headers={"last-event-id": value})
    assert answer.status_code == 400


def test_without_redis_a_stream_runs_and_is_counted_as_not_kept(
    folder: Path, engine: services.Service, config: Path, effects: Effects, request_id: str
) -> None:
    with (
        services.redis_server(folder / "lost-redis") as lost,
        services.gateway(folder, engine.address, lost.url, config, "gateway-blue-3") as running,
    ):
        with opened(running.url, request_id) as events:
            begun = [next(events) for _ in range(3)]
            lost.child.end(signal.SIGKILL)
            assert_complete(begun + list(events))
        assert running.metric("gateway_streams_not_kept_total") == 1
        assert_complete(whole(running.url, request_id, after=3), after=3)
        lost.start()
        services.wait_until(lambda: _kept(running, lost, request_id), "streams are kept again")
        said = [event["event"] for event in running.events()]
    assert said.count("redis-lost") == 1
    assert len(effects(request_id)) == 1


def _kept(running: services.Service, redis: services.Redis, request_id: str) -> bool:
    """Whether a new stream's first event is in Redis."""
    with opened(running.url, f"{request_id}-again") as events, RedisClient.from_url(redis.url) as client:
        next(events)
        return bool(client.exists(f"sse:{request_id}-again"))


def test_a_slow_reader_slows_the_generator(folder: Path, dsn: str, redis: services.Redis, request_id: str) -> None:
    long = services.write_config(
        folder / "long.json", stream={"tokens": 40_000, "gap_ms": 0.0, "cap": 16}, drain={"deadline_s": 0.5}
    )
    key = f"sse:{request_id}"
    with (
        services.engine(folder, dsn, long, "engine-blue-4") as engine,
        services.gateway(folder, engine.address, redis.url, long, "gateway-blue-4") as running,
        RedisClient.from_url(redis.url) as client,
        _reader(running.port, request_id) as reader,
    ):

        def produced() -> int:
            found = client.xinfo_stream(key)["last-generated-id"] if client.exists(key) else b"0-0"
            return int(found.partition(b"-")[0])

        stalled_at = _when_steady(produced)
        assert 0 < stalled_at < 20_000
        for _ in range(200):
            reader.recv(4096)
        services.wait_until(lambda: produced() > stalled_at, "the generator goes on")


@contextlib.contextmanager
def _reader(port: int, request_id: str) -> Iterator[socket.socket]:
    """A client that asks for a stream and reads nothing by itself."""
    body = json.dumps({"message": MESSAGE}).encode()
    head = f"POST /v1/chat/stream HTTP/1.1\r\nhost: x\r\nx-request-id: {request_id}\r\ncontent-length: {len(body)}\r\n"
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(5)
        reader.connect((services.HOST, port))
        reader.sendall(head.encode() + b"\r\n" + body)
        yield reader


def _when_steady(produced: Callable[[], int]) -> int:
    """The count at which production stood still for half a second."""
    last = [-1]

    def steady() -> bool:
        before, last[0] = last[0], produced()
        return before == last[0] > 0

    services.wait_until(steady, "the generator stands still", seconds=20, pause_s=0.5)
    return last[0]
