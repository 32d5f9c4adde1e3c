"""One PostgreSQL, one Redis and a healthy engine with two gateways for all tests that break nothing."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from support import services

Effects = Callable[[str], list[str]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("services")


@pytest.fixture(scope="session")
def postgres(folder: Path) -> Iterator[services.Postgres]:
    with services.postgres(folder / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def redis(folder: Path) -> Iterator[services.Redis]:
    with services.redis_server(folder / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def dsn(postgres: services.Postgres) -> str:
    return postgres.new_database("reference")


@pytest.fixture(scope="session")
def config(folder: Path) -> Path:
    return services.write_config(folder / "config.json")


@pytest.fixture(scope="session")
def slow_config(folder: Path) -> Path:
    """Streams of 17 to 27 events, 25 ms apart: long enough to be interrupted."""
    return services.write_config(folder / "slow.json", stream={"tokens": 20, "gap_ms": 25.0}, latency={"sigma": 0.0})


@pytest.fixture(scope="session")
def engine(folder: Path, dsn: str, slow_config: Path) -> Iterator[services.Service]:
    with services.engine(folder, dsn, slow_config) as running:
        yield running
        idle(running)


@pytest.fixture(scope="session")
def gateway(folder: Path, engine: services.Service, redis: services.Redis, config: Path) -> Iterator[services.Service]:
    with services.gateway(folder, engine.address, redis.url, config) as running:
        yield running
        idle(running)


@pytest.fixture(scope="session")
def other_gateway(
    folder: Path, engine: services.Service, redis: services.Redis, config: Path
) -> Iterator[services.Service]:
    with services.gateway(folder, engine.address, redis.url, config, "gateway-green-1") as running:
        yield running
        idle(running)


@pytest.fixture
def client(gateway: services.Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=15) as client:
        yield client


@pytest.fixture
def effects(dsn: str) -> Effects:
    """The idempotency keys (or "") of the effects of one request id, a row each."""

    def read(request_id: str) -> list[str]:
        with psycopg.connect(dsn) as connection:
            sql = "SELECT coalesce(idempotency_key, '') FROM effects WHERE request_id = %s"
            return [row[0] for row in connection.execute(sql, (request_id,))]

    return read


def idle(service: services.Service) -> None:
    """The world is back to normal: no test left a request in flight."""
    services.wait_until(lambda: service.metric("service_in_flight") == 0, "nothing is in flight", seconds=5)


_numbers = itertools.count(1)


@pytest.fixture
def request_id(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name[:60]}-{next(_numbers)}"
