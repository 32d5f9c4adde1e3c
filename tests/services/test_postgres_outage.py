"""PostgreSQL killed under chats, and back: nothing is acknowledged without its effect, nobody repairs by hand."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from support import services


@pytest.fixture(scope="module")
def fragile(folder: Path) -> Iterator[services.Postgres]:
    with services.postgres(folder / "fragile-postgres") as server:
        yield server


@pytest.fixture(scope="module")
def fragile_dsn(fragile: services.Postgres) -> str:
    return fragile.new_database("fragile")


@pytest.fixture(scope="module")
def hurried_config(folder: Path) -> Path:
    return services.write_config(folder / "hurried.json", postgres={"wait_s": 0.5})


@pytest.fixture(scope="module")
def engine(folder: Path, fragile_dsn: str, hurried_config: Path) -> Iterator[services.Service]:
    with services.engine(folder, fragile_dsn, hurried_config, "engine-blue-8") as running:
        yield running


@pytest.fixture(scope="module")
def url(folder: Path, engine: services.Service, redis: services.Redis, hurried_config: Path) -> Iterator[str]:
    with services.gateway(folder, engine.address, redis.url, hurried_config, "gateway-blue-8") as running:
        yield running.url


def test_chats_fail_while_postgresql_is_dead_and_work_again_soon_after(
    engine: services.Service, url: str, fragile: services.Postgres, fragile_dsn: str
) -> None:
    client = _Client(url)
    with client:
        services.wait_until(lambda: len(client.ids(200)) > 20, "a flow of answers")
        fragile.kill()
        client.wait_for(503)
        certain = httpx.post(f"{url}/v1/chat", json={"message": "x"}, timeout=10)
        assert (certain.status_code, certain.headers["x-request-executed"]) == (503, "no")
        services.wait_until(lambda: not engine.ready(), "the engine is not ready")
        assert httpx.get(f"{engine.url}/healthz", timeout=5).status_code == 200
        fragile.start()
        back = time.monotonic()
        client.wait_for(200)
        assert time.monotonic() - back < 5
        services.wait_until(engine.ready, "the engine is ready again", seconds=5)
    with psycopg.connect(fragile_dsn) as connection:
        effects = {row[0] for row in connection.execute("SELECT request_id FROM effects")}
        assert connection.execute("SELECT count(*) FROM effects").fetchone() == (len(effects),)
    assert client.ids(200) <= effects, "acknowledged, hence written"
    assert not client.refused & effects, "certainly not executed, hence not written"
    told = [event["event"] for event in engine.events() if str(event["event"]).startswith("postgres")]
    assert told == ["postgres-usable", "postgres-lost", "postgres-usable"]


def test_a_connection_that_died_in_the_pool_fails_no_request(url: str, fragile_dsn: str) -> None:
    with psycopg.connect(fragile_dsn, autocommit=True) as connection:
        for _ in range(5):
            connection.execute(
                "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE application_name = 'engine-blue-8'"
            )
            answer = httpx.post(f"{url}/v1/chat", json={"message": "x"}, timeout=10)
            assert answer.status_code == 200, answer.text


def test_an_engine_without_a_schema_is_not_ready_until_it_comes(
    folder: Path, postgres: services.Postgres, config: Path
) -> None:
    dsn = postgres.new_database("empty", migrated=False)
    with services.engine(folder, dsn, config, "engine-blue-9", wait=False) as engine:
        services.wait_until(lambda: services.accepts(engine.admin_port), "the probes answer")
        answer = httpx.get(f"{engine.url}/readyz", timeout=5)
        assert (answer.status_code, answer.json()["checks"]["postgres"]) == (503, False)
        services.migrate(dsn, "head")
        services.wait_until(engine.ready, "the engine is ready", seconds=5)


class _Client:
    """One closed-loop client; remembers the status of each request id."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._answers: list[tuple[str, int]] = []
        self.refused: set[str] = set()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(15)

    def ids(self, status: int) -> set[str]:
        return {request_id for request_id, answered in self._answers if answered == status}

    def wait_for(self, status: int) -> None:
        """Until the latest answer has this status."""
        seen = len(self._answers)
        services.wait_until(
            lambda: any(answered == status for _, answered in self._answers[seen:]), f"an answer {status}"
        )

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=15) as client:
            for number in range(2_000):
                if self._stop.wait(0.01):
                    return
                request_id = f"outage-{number}"
                answer = client.post("/v1/chat", json={"message": "x"}, headers={"x-request-id": request_id})
                self._answers.append((request_id, answer.status_code))
                if answer.headers.get("x-request-executed") == "no":
                    self.refused.add(request_id)
