"""A region as servers of this machine in a folder of their own: children of the drill, which end with it."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.config import Secret
from holdfast.infra.recovery.programs import mortal, run_program
from holdfast.infra.recovery.regions import Region
from holdfast.infra.stack import Stack
from holdfast.infra.supervisor.unit import Unit
from holdfast.infra.targets.local import postgres, redis
from holdfast.infra.targets.local.ports import HOST, kept_ports
from holdfast.infra.wheels import postgres_program

START_S = 20.0
CRASH = {"postgres": signal.SIGQUIT, "redis": signal.SIGKILL}
"""The signal at which a server ends as in a crash; QUIT takes PostgreSQL's own children along."""


@dataclass
class LocalRegion:
    """A region in `folder`. `passwords` are the same in both regions, because one follows the other."""

    stack: Stack
    name: str
    folder: Path
    ports: dict[str, int]
    passwords: dict[str, Secret]
    _servers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def way_out(self) -> str:
        """Where to look when something does not work."""
        return f"see the logs in {self.folder}, while the drill waits"

    def make(self, leader: Region | None = None) -> None:
        """Have the stores, each one following the leader's; without a leader they lead."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, store in self.stack.stores.items():
            make = self._postgres if store.kind == "postgres" else self._redis
            unit = make(name, leader)
            with (self.folder / f"{name}.log").open("ab") as log:
                self._servers[name] = subprocess.Popen(
                    mortal(unit.argv), env=unit.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            if store.kind == "postgres" and leader is None:
                secret, port = self.passwords[name], self.ports[name]
                postgres.wait_for_postgres(name, port, secret, self.stack.name, timeout=START_S)

    def address(self, store: str) -> tuple[str, int]:
        """Host and port by which another region's store follows this one's."""
        return HOST, self.ports[store]

    def trouble(self) -> str:
        """A server that has ended does not come up any more."""
        ended = {name: server.poll() for name, server in self._servers.items()}
        return "; ".join(f"{name} ended with {code}" for name, code in ended.items() if code is not None)

    def cut(self) -> None:
        """Kill every server."""
        for name, server in self._servers.items():
            server.send_signal(CRASH[self.stack.stores[name].kind])
        for server in self._servers.values():
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        self._servers.clear()

    def clear(self) -> None:
        """End the servers, and remove their data."""
        self.cut()
        shutil.rmtree(self.folder, ignore_errors=True)

    def delete(self) -> None:
        """As `clear`: nothing else is there."""
        self.clear()

    def wait_gone(self) -> None:
        """It is gone already."""

    def store_dsn(self, store: str) -> str:
        """The URL of a PostgreSQL store."""
        return self.store_url(store)

    def store_url(self, store: str) -> str:
        """The URL of a store."""
        port, secret = self.ports[store], self.passwords[store]
        if self.stack.stores[store].kind == "postgres":
            return postgres.dsn(port, secret, self.stack.name)
        return redis.url(port, secret)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _postgres(self, name: str, leader: Region | None) -> Unit:
        """A server on new data, or on a copy of the leader's that streams from it."""
        data, version = self.folder / name, self.stack.stores[name].version
        if leader is None:
            postgres.make_data(version, data, self.passwords[name])
        else:
            host, port = leader.address(name)
            run_program(
                basebackup_argv(str(postgres_program("pg_basebackup", version)), host, port, data),
                {"PGPASSWORD": self.passwords[name].reveal()},
                doing=f"the copy of {name} for region {self.name}",
                way_out=self.way_out,
            )
        return postgres.postgres_unit(name, version, data, self.ports[name], self.folder / f"{name}.log")

    def _redis(self, name: str, leader: Region | None) -> Unit:
        """A server that follows the leader's, where there is one."""
        data = self.folder / name
        unit = redis.redis_unit(name, self.ports[name], data, self.passwords[name], self.folder / f"{name}.log")
        if leader is not None:
            host, port = leader.address(name)
            with (data / "redis.conf").open("a", encoding="utf-8") as configuration:
                configuration.write(f"replicaof {host} {port}\nmasterauth {self.passwords[name].reveal()}\n")
        return unit


def basebackup_argv(program: str, host: str, port: int, data: Path) -> list[str]:
    """Copy a running server, with what a server on the copy needs to stream from it."""
    where = ["-h", host, "-p", str(port), "-U", postgres.USER, "-D", str(data)]
    return [program, *where, "-X", "stream", "-c", "fast", "-R", "--no-password"]


def two_folders(stack: Stack, folder: Path) -> tuple[LocalRegion, LocalRegion]:
    """The primary and the secondary region below `folder`; what a killed drill left there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    names = {region: {name: f"{region}-{name}" for name in stack.stores} for region in ("primary", "secondary")}
    ports = kept_ports(folder / "ports.json", [port for each in names.values() for port in each.values()])
    passwords = {name: Secret(secrets.token_urlsafe(24)) for name in stack.stores}

    def region(which: str) -> LocalRegion:
        mine = {name: ports[port] for name, port in names[which].items()}
        return LocalRegion(stack, which, folder / which, mine, passwords)

    return region("primary"), region("secondary")
