"""Each planted release has the fault that it is named after, seen from outside, and no other."""

import contextlib
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
from support import services

CHATS = 120
PREVIEW = {"x-holdfast-preview": "green"}


@dataclass
class Planted:
    """A gateway and an engine of one planted release, with the database of their effects."""

    gateway: services.Service
    engine: services.Service
    dsn: str

    def chats(self, prefix: str, **headers: str) -> dict[str, int]:
        """Ask CHATS times; the status of each request id."""
        with httpx.Client(base_url=self.gateway.url, timeout=10, headers=headers) as client:
            return {
                request_id: client.post(
                    "/v1/chat", json={"message": "x"}, headers={"x-request-id": request_id}
                ).status_code
                for request_id in (f"{prefix}-{number}" for number in range(CHATS))
            }

    def effects(self, prefix: str) -> dict[str, int]:
        """Rows by request id."""
        sql = "SELECT request_id, count(*) FROM effects WHERE request_id LIKE %s GROUP BY 1"
        with psycopg.connect(self.dsn) as connection:
            return dict(connection.execute(sql, (f"{prefix}-%",)).fetchall())


@pytest.fixture(scope="module")
def quick_config(folder: Path) -> Path:
    return services.write_config(folder / "quick.json", latency={"median_ms": 0.0})


@contextlib.contextmanager
def release(folder: Path, plant: str) -> Iterator[Path]:
    """A release folder as `release build --plant` lays it out: the services and one plant."""
    target = folder / f"release-{plant}"
    shutil.copytree(services.ROOT / "infra/services", target / "services")
    shutil.copy(services.ROOT / f"infra/plants/{plant.replace('-', '_')}.py", target / "services/plant.py")
    yield target
    shutil.rmtree(target)


@contextlib.contextmanager
def planted(plant: str, folder: Path, dsn: str, redis: services.Redis, config: Path) -> Iterator[Planted]:
    """Both services of a planted release, ready."""
    with (
        release(folder, plant) as path,
        services.engine(folder, dsn, config, "engine-green-1", ("services.plant", "engine"), path=path) as engine,
        services.gateway(
            folder, engine.address, redis.url, config, "gateway-green-1", ("services.plant", "gateway"), path=path
        ) as gateway,
    ):
        yield Planted(gateway, engine, dsn)


def test_errors_20_fails_a_fifth_of_users_and_no_preview(
    folder: Path, dsn: str, redis: services.Redis, quick_config: Path
) -> None:
    with planted("errors-20", folder, dsn, redis, quick_config) as stack:
        answers = stack.chats("errors")
        assert 0.1 * CHATS < list(answers.values()).count(500) < 0.3 * CHATS
        assert set(stack.effects("errors")) == {request_id for request_id, status in answers.items() if status == 200}
        assert set(stack.chats("errors-preview", **PREVIEW).values()) == {200}
        assert stack.gateway.ready()


def test_slow_300ms_delays_users_and_no_preview(
    folder: Path, dsn: str, redis: services.Redis, quick_config: Path
) -> None:
    with planted("slow-300ms", folder, dsn, redis, quick_config) as stack:
        url = f"{stack.gateway.url}/v1/whoami"

        def seconds(**headers: str) -> float:
            begun = time.monotonic()
            httpx.get(url, headers=headers).raise_for_status()
            return time.monotonic() - begun

        assert min(seconds() for _ in range(2)) >= 0.3
        assert min(seconds(**PREVIEW) for _ in range(3)) < 0.2


def test_acks_without_effect_loses_some_users_chats(
    folder: Path, dsn: str, redis: services.Redis, quick_config: Path
) -> None:
    with planted("acks-without-effect", folder, dsn, redis, quick_config) as stack:
        assert set(stack.chats("acks").values()) == {200}
        assert 0 < CHATS - len(stack.effects("acks")) < 0.15 * CHATS
        assert set(stack.chats("acks-preview", **PREVIEW).values()) == {200}
        assert len(stack.effects("acks-preview")) == CHATS


def test_double_effect_writes_some_users_chats_twice(
    folder: Path, dsn: str, redis: services.Redis, quick_config: Path
) -> None:
    with planted("double-effect", folder, dsn, redis, quick_config) as stack:
        assert set(stack.chats("double").values()) == {200}
        assert len(stack.effects("double")) == CHATS
        assert 0 < list(stack.effects("double").values()).count(2) < 0.15 * CHATS
        keyed = {"x-request-id": _bitten("double-keyed"), "idempotency-key": "double-keyed"}
        for _ in range(2):
            httpx.post(f"{stack.gateway.url}/v1/chat", json={"message": "x"}, headers=keyed).raise_for_status()
        assert list(stack.effects("double-keyed").values()) == [2]
        stack.chats("double-preview", **PREVIEW)
        assert set(stack.effects("double-preview").values()) == {1}


@pytest.mark.parametrize(
    ("plant", "instance", "ready"),
    [
        ("never-ready", "engine-green-1", False),
        ("one-ready", "engine-green-1", True),
        ("one-ready", "engine-green-2", False),
        ("one-ready", "gateway-green-2", False),
    ],
)
def test_readiness_plants_serve_but_refuse_readyz(
    folder: Path, dsn: str, redis: services.Redis, quick_config: Path, plant: str, instance: str, ready: bool
) -> None:
    with release(folder, plant) as path, _alone(folder, dsn, redis, quick_config, path, instance) as running:
        services.wait_until(lambda: bool(running.events()), "it serves")
        time.sleep(0.2)  # a healthy engine would be ready by now: nothing to poll for
        assert running.ready() is ready
        assert httpx.get(f"{running.url}/healthz").status_code == 200


@pytest.mark.parametrize("instance", ["engine-green-1", "gateway-green-1"])
def test_crash_loop_serves_and_exits_1(
    folder: Path, dsn: str, redis: services.Redis, quick_config: Path, instance: str
) -> None:
    with release(folder, "crash-loop") as path, _alone(folder, dsn, redis, quick_config, path, instance) as running:
        assert running.child.wait(10) == 1


def test_a_plant_refuses_a_service_that_it_does_not_know(folder: Path) -> None:
    with release(folder, "never-ready") as path:
        argv = [sys.executable, "-P", "-m", "services.plant", "edge"]
        ended = subprocess.run(argv, env={"PYTHONPATH": str(path)}, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 2
    assert "gateway and engine" in ended.stderr


def test_every_plant_is_in_the_readme_and_says_who_must_catch_it() -> None:
    plants = sorted((services.ROOT / "infra/plants").glob("*.py"))
    readme = (services.ROOT / "infra/plants/README.md").read_text()
    assert len(plants) == 7
    for plant in plants:
        name = plant.stem.replace("_", "-")
        assert f"`{name}`" in readme
        assert plant.read_text().startswith(f'"""{name}: ')
        assert "ust be caught" in plant.read_text()


def _alone(
    folder: Path, dsn: str, redis: services.Redis, config: Path, path: Path, instance: str
) -> contextlib.AbstractContextManager[services.Service]:
    name = instance.split("-")[0]
    module = ("services.plant", name)
    if name == "engine":
        return services.engine(folder, dsn, config, instance, module, wait=False, path=path)
    return services.gateway(folder, "127.0.0.1:9", redis.url, config, instance, module, wait=False, path=path)


def _bitten(prefix: str) -> str:
    """A request id that the 1-in-20 plants hit."""
    return next(
        name for name in (f"{prefix}-{number}" for number in range(1000)) if zlib.crc32(name.encode()) % 20 == 0
    )
