"""Drains: announced, reversible, finished before the process ends."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support import services

Effects = Callable[[str], list[str]]


@pytest.fixture
def leaving(folder: Path, engine: services.Service, redis: services.Redis, config: Path) -> Iterator[services.Service]:
    """A gateway that the test drains."""
    with services.gateway(folder, engine.address, redis.url, config, "gateway-blue-5") as running:
        yield running


def checks(service: services.Service) -> dict[str, bool]:
    return dict(httpx.get(f"{service.url}/readyz", timeout=5).json()["checks"])


def test_a_draining_gateway_still_answers_and_announces_the_close(leaving: services.Service) -> None:
    with httpx.Client(base_url=leaving.url) as client:
        first = client.get("/v1/whoami").headers
        assert ("connection" not in first, first["x-holdfast-color"]) == (True, "blue")
        leaving.child.send(signal.SIGUSR1)
        services.wait_until(lambda: not leaving.ready(), "not ready")
        for path in ("/v1/whoami", "/healthz", "/servingz", "/metrics"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert client.post("/v1/chat", json={"message": "still there?"}).status_code == 200
        assert checks(leaving) == {"serving": False, "loaded": True}
        assert leaving.metric("service_draining") == 1
        leaving.child.send(signal.SIGUSR2)
        services.wait_until(leaving.ready, "ready again")
        assert "connection" not in client.get("/v1/whoami").headers


def test_open_streams_move_and_new_ones_stay(
    leaving: services.Service, other_gateway: services.Service, effects: Effects, request_id: str
) -> None:
    body, headers = {"message": "move me"}, {"x-request-id": request_id}
    with httpx.stream("POST", f"{leaving.url}/v1/chat/stream", json=body, headers=headers) as answer:
        events = services.read_events(answer.iter_lines())
        seen = [next(events) for _ in range(3)]
        leaving.child.send(signal.SIGUSR1)
        seen += list(events)
    assert seen.pop().kind == "retry"
    assert len(seen) < 10
    resume = {**headers, "last-event-id": str(len(seen))}
    begun = time.monotonic()
    answer = httpx.post(f"{other_gateway.url}/v1/chat/stream", json=body, headers=resume)
    resumed = list(services.read_events(answer.text.splitlines()))
    assert [event.number for event in seen + resumed] == list(range(1, len(seen + resumed) + 1))
    assert resumed[-1].kind == "done"
    assert effects(request_id) == [f"stream:{request_id}"]
    assert time.monotonic() - begun < 0.025 * 27 + 0.8, "a stream that was handed over needs no second of waiting"
    stays = httpx.post(f"{leaving.url}/v1/chat/stream", json=body, headers={"x-request-id": request_id + "-new"})
    assert list(services.read_events(stays.text.splitlines()))[-1].kind == "done"


def test_a_gateway_that_is_told_to_end_finishes_what_is_in_flight(
    folder: Path, dsn: str, redis: services.Redis, effects: Effects, request_id: str
) -> None:
    slow = services.write_config(folder / "thinking.json", latency={"median_ms": 900.0, "sigma": 0.0, "max_ms": 900.0})
    with (
        services.engine(folder, dsn, slow, "engine-blue-6") as engine,
        services.gateway(folder, engine.address, redis.url, slow, "gateway-blue-6") as gateway,
    ):
        answers: list[httpx.Response] = []

        def ask() -> None:
            headers = {"x-request-id": request_id}
            answers.append(httpx.post(f"{gateway.url}/v1/chat", json={"message": "x"}, headers=headers, timeout=10))

        asking = threading.Thread(target=ask)
        asking.start()
        services.wait_until(lambda: engine.metric("service_in_flight") == 1, "the chat is in flight")
        gateway.child.send(signal.SIGTERM)
        engine.child.send(signal.SIGTERM)
        services.wait_until(lambda: not gateway.ready(), "not ready")
        assert httpx.get(f"{gateway.url}/v1/whoami").status_code == 200
        asking.join(10)
        assert [answer.status_code for answer in answers] == [200]
        assert (gateway.child.wait(5), engine.child.wait(5)) == (0, 0)
        for service in (gateway, engine):
            assert [event["event"] for event in service.events()][-2:] == ["draining", "ending"]
            assert service.events()[-1]["cut"] == 0
    assert effects(request_id) == [""]


def test_an_idle_process_ends_within_a_second(leaving: services.Service) -> None:
    with httpx.Client(base_url=leaving.url) as idle_connection:
        idle_connection.get("/v1/whoami")
        begun = time.monotonic()
        leaving.child.send(signal.SIGTERM)
        assert leaving.child.wait(5) == 0
        assert time.monotonic() - begun < 1


def test_what_is_cut_at_the_deadline_is_told(folder: Path, dsn: str, redis: services.Redis, request_id: str) -> None:
    hasty = services.write_config(
        folder / "hasty.json", latency={"median_ms": 9000.0, "max_ms": 9000.0}, drain={"deadline_s": 0.3}
    )
    with (
        services.engine(folder, dsn, hasty, "engine-blue-7") as engine,
        services.gateway(folder, engine.address, redis.url, hasty, "gateway-blue-7") as gateway,
    ):
        asking = threading.Thread(target=_ask_in_vain, args=(gateway.url,))
        asking.start()
        services.wait_until(lambda: engine.metric("service_in_flight") == 1, "the chat is in flight")
        gateway.child.send(signal.SIGTERM)
        engine.child.send(signal.SIGTERM)
        assert (gateway.child.wait(5), engine.child.wait(5)) == (0, 0)
        asking.join(5)
        assert [service.events()[-1]["cut"] for service in (gateway, engine)] == [1, 1]


def _ask_in_vain(url: str) -> None:
    answer = None
    try:
        answer = httpx.post(f"{url}/v1/chat", json={"message": "x"}, timeout=10)
    except httpx.TransportError:
        return
    assert answer.status_code >= 500
