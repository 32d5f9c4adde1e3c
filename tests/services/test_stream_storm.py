"""Streams while their gateways drain, end and are killed at random: each is read whole, in order, with one effect."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from support import sample, services

STORM_S = 5.0
USERS = 5
GIVE_UP_S = 20.0


@pytest.fixture
def gateways(
    folder: Path, engine: services.Service, redis: services.Redis, config: Path
) -> Iterator[list[services.Service]]:
    with (
        services.gateway(folder, engine.address, redis.url, config, "gateway-blue-11") as first,
        services.gateway(folder, engine.address, redis.url, config, "gateway-blue-12") as second,
    ):
        yield [first, second]


@pytest.mark.slow
def test_streams_are_whole_and_have_one_effect_whatever_happens_to_their_gateways(
    gateways: list[services.Service], dsn: str
) -> None:
    seed = sample.seed()
    end = time.monotonic() + STORM_S
    done: list[str] = []
    users = [threading.Thread(target=_user, args=(gateways, f"storm-{n}", seed + n, end, done)) for n in range(USERS)]
    for user in users:
        user.start()
    _storm(gateways, random.Random(seed), end - 1.0)
    for user in users:
        user.join(GIVE_UP_S + STORM_S)
    with psycopg.connect(dsn) as connection:
        sql = "SELECT request_id, count(*) FROM effects WHERE request_id LIKE 'storm-%' GROUP BY 1"
        effects: dict[str, int] = dict(connection.execute(sql).fetchall())
    assert len(done) >= USERS
    assert effects == dict.fromkeys(done, 1)


def _storm(gateways: list[services.Service], source: random.Random, end: float) -> None:
    """One act after the other, on one gateway at a time; all serve when it is over."""
    acts: list[Callable[[services.Service], None]] = [_drain_and_back, _end, _kill]
    while time.monotonic() < end:
        source.choice(acts)(source.choice(gateways))
        time.sleep(source.uniform(0.05, 0.3))


def _drain_and_back(gateway: services.Service) -> None:
    gateway.child.send(signal.SIGUSR1)
    time.sleep(0.1)
    gateway.child.send(signal.SIGUSR2)


def _end(gateway: services.Service) -> None:
    assert gateway.child.end(signal.SIGTERM, seconds=12) == 0
    _start_again(gateway)


def _kill(gateway: services.Service) -> None:
    gateway.child.end(signal.SIGKILL)
    _start_again(gateway)


def _start_again(gateway: services.Service) -> None:
    gateway.child.start()
    services.wait_until(gateway.ready, "the gateway is back")


def _user(gateways: list[services.Service], name: str, seed: int, end: float, done: list[str]) -> None:
    """One stream after the other, each resumed at any gateway until `done` is read."""
    source = random.Random(seed)
    number = 0
    while time.monotonic() < end:
        number += 1
        request_id, give_up = f"{name}-{number}", time.monotonic() + GIVE_UP_S
        events: list[services.StreamEvent] = []
        while not events or events[-1].kind != "done":
            assert time.monotonic() < give_up, f"{request_id} has only {len(events)} events"
            _read(source.choice(gateways).url, request_id, events)
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        done.append(request_id)


def _read(url: str, request_id: str, events: list[services.StreamEvent]) -> None:
    """Append what one gateway sends after the events that are there."""
    headers = {"x-request-id": request_id, "last-event-id": str(len(events))}
    try:
        with httpx.stream("GET", f"{url}/v1/chat/stream?message=x", headers=headers, timeout=12) as answer:
            if answer.status_code == 200:
                for event in services.read_events(answer.iter_lines()):
                    if event.number is not None:
                        events.append(event)  # noqa: PERF401  what was read stays when the next read fails
    except httpx.TransportError:
        time.sleep(0.05)
