"""The stack `sparkle` in a folder of a test's own: real PostgreSQL, Redis, Envoy and services, with quick rules.

A stack is owned by the test's process, so that it ends when that process does, whatever becomes of the test.
"""

from __future__ import annotations

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import httpx
import msgspec

from holdfast.children import Identity, identify, tagged
from holdfast.errors import Refused
from holdfast.infra.bluegreen.context import opposite
from holdfast.infra.bluegreen.operations import Desk
from holdfast.infra.bluegreen.ports import Ports
from holdfast.infra.home import Home
from holdfast.infra.release import build_release, remove_releases
from holdfast.infra.stack import Color, Stack, load_stack
from holdfast.infra.supervisor.unit import STACK_TAG, UNIT_TAG, Kept
from holdfast.infra.target import Target
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Journal, Operation
from holdfast.migrations.schema import AlembicSchema
from holdfast.run import Run, open_run
from holdfast.verdict import Outcome, Verdict

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("v1", "v2", "v3")


def wait_until(true: Callable[[], Any], what: str, seconds: float = 10.0) -> None:
    """Poll a condition. Raises AssertionError that says what did not happen."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def processes_of(home: Path) -> dict[int, str]:
    """The processes that carry the tag of the stack at `home`: pid to unit."""
    return {found.pid: env.get(UNIT_TAG, "") for found, env in tagged(STACK_TAG, str(home))}


def supervisor_pids(home: Path) -> list[int]:
    """The supervisors of a home, by their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and identify(int(entry.name)):
            with suppress(OSError):
                argv = (entry / "cmdline").read_bytes().split(b"\0")
                if f"--home={home}".encode() in argv and b"holdfast.infra.supervisor.daemon" in argv:
                    found.append(int(entry.name))
    return found


def nothing_left(home: Path) -> None:
    """Assert that no process of the stack at `home` runs, its supervisor included."""
    wait_until(lambda: not processes_of(home), f"no process of {home} is left: {processes_of(home)}", 5)
    wait_until(lambda: not supervisor_pids(home), f"no supervisor of {home} is left", 5)


def quick_stack(replicas: int = 2, **rules: Any) -> Stack:
    """Sparkle with a short drain and a hold of a minute."""
    stack = load_stack("sparkle")
    given = {"drain_s": 1.0, "watch_s": 0.2, "hold_s": 60.0, "propagation_timeout_s": 5.0} | rules
    services = {
        name: msgspec.structs.replace(
            service, replicas=replicas, ready=msgspec.structs.replace(service.ready, times=1, timeout_s=10.0)
        )
        for name, service in stack.services.items()
    }
    return msgspec.structs.replace(stack, services=services, release=msgspec.structs.replace(stack.release, **given))


def releases_of(folder: Path) -> Path:
    """Build the versions from infra/services into a folder; they are identical but for their name."""
    for version in VERSIONS:
        build_release(version, ROOT / "infra" / "services", folder)
    return folder


def verdict(outcome: Outcome = Outcome.PASS, gate: str = "given") -> list[Verdict]:
    """What a quick port returns."""
    return [Verdict(gate=gate, outcome=outcome, because=f"the test says {outcome.value}")]


T = TypeVar("T", bound=Target)


@dataclass
class StackUnderTest(ABC, Generic[T]):
    """A stack that is up, with quick ports, wherever it runs."""

    stack: Stack
    home: Home
    target: T
    runs: list[Run] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The edge."""
        return self.target.edge_url()

    def desk(self, *, schema: Any = None, gate: Any = None, watch: Any = None, reconcile: Any = None) -> Desk:
        """A release desk; ports that are not given pass at once, the schema is the repository's own."""
        run = open_run(self.home.runs, command="test", stack="sparkle", seed=1)
        self.runs.append(run)
        return Desk(
            stack=self.stack,
            home=self.home,
            target=self.target,
            ports=Ports(
                schema=schema or self.schema(),
                gate=gate or (lambda *_: verdict()),
                watch=watch or (lambda *_: verdict()),
                reconcile=reconcile or (lambda: verdict()),
            ),
            timeline=run.timeline,
            journal=self.journal,
        )

    def schema(self) -> AlembicSchema:
        """The repository's own migrations against the stack's database."""
        return AlembicSchema(ROOT / "migrations", self.target.store_dsn("postgres"))

    @property
    def journal(self) -> Journal:
        """The stack's journal."""
        return Journal(self.home.journal)

    def get(self, path: str = "/v1/whoami", **headers: str) -> httpx.Response:
        """GET at the edge on a connection of its own."""
        return httpx.get(f"{self.url}{path}", headers=headers, timeout=5)

    def chat(self, message: str = "hello", **headers: str) -> httpx.Response:
        """POST a chat at the edge on a connection of its own."""
        return httpx.post(f"{self.url}/v1/chat", json={"message": message}, headers=headers, timeout=10)

    def live(self) -> dict[str, str | None]:
        """The live color of each service."""
        table = self.target.live()
        return {name: table.live(name) for name in self.stack.services}

    def placement(self) -> dict[str, Color]:
        """The live colors, of the services that have one."""
        return {name: cast(Color, color) for name, color in self.live().items() if color}

    def live_version(self) -> str:
        """The version of the live edge color."""
        service = self.stack.edge.service
        release = self.target.release_in(service, self.live()[service] or "")
        return release.version if release else ""

    def settle(self) -> None:
        """Promote what is held, end what a rollback keeps; then nothing must show that anything was killed."""
        operation = self.journal.open_operation()
        if operation:
            self.desk().promote()
        idle = {name: opposite(color) for name, color in self.live().items() if color}
        journal = self.journal
        with journal.lock("a test") as token:
            self.target.fence(token)
            self.target.stop(idle)
        self.converged()
        for run in self.runs:
            run.close()
        self.runs.clear()

    def last(self) -> Operation:
        """The last operation."""
        return self.journal.operations()[-1]

    @abstractmethod
    def converged(self) -> None:
        """Assert: one live color a service, which answers and stays; nothing open but a hold; nothing runs in vain."""


class Sparkle(StackUnderTest[LocalTarget]):
    """On this machine."""

    def units(self) -> dict[str, Kept]:
        """The units that are not being ended."""
        return {name: kept for name, kept in self.target.units().items() if not kept.stopping}

    def normal(self) -> dict[str, Any]:
        """What a test must leave as it found it: units, live colors, no open operation."""
        wait_until(lambda: all(kept.alive() for kept in self.target.units().values()), "every unit runs")
        operation = self.journal.open_operation()
        table = self.target.live()
        return {
            "units": sorted(self.units()),
            "weights": table.weights,
            "preview": table.preview,
            "open": operation and operation.name,
            "holds": sorted(name for name, kept in self.units().items() if kept.expires_at),
        }

    def converged(self) -> None:
        """Assert: one live color a service, which answers and stays; nothing open but a hold; nothing runs in vain."""
        operation = self.journal.open_operation()
        assert operation is None or operation.paused_at == "hold", operation.lines[-3:]
        table, units = self.target.live(), self.units()
        assert table.preview == {}
        wanted = {"edge", *self.stack.stores, *(["links"] if self.target.provision.links().argv else [])}
        for service in self.stack.services:
            assert sorted(table.weights[service].values()) == [100], table.weights
            color = cast(Color, table.live(service))
            addresses = self.target.addresses({service: color})
            wanted |= {address.instance for address in addresses}
            assert len(addresses) == self.stack.services[service].replicas
            assert [units[address.instance].expires_at for address in addresses] == [None] * len(addresses)
            wait_until(partial(_ready, [address.probe for address in addresses]), f"{service} {color} is ready")
        others = set(units) - wanted
        held = {name for name in others if units[name].expires_at}
        assert others == held, f"{others - held} should not run"
        assert not held or operation or self.last().kind == "rollback", f"{held} are held for nothing"
        assert wanted <= set(units)
        assert all(units[name].alive() for name in wanted)
        served_by = self.chat().json()["served_by"]
        assert {name: who["color"] for name, who in served_by.items()} == self.live()

    def close(self) -> None:
        """End the stack; nothing is left."""
        for run in self.runs:
            run.close()
        self.target.down()
        nothing_left(self.home.root)


def _ready(probes: list[str]) -> bool:
    return all(httpx.get(f"{probe}/readyz", timeout=2).status_code == 200 for probe in probes)


@contextmanager
def sparkle(
    folder: Path,
    releases: Path,
    *,
    stack: Stack | None = None,
    owner: Identity | None = None,
    links_argv: Sequence[str] | None = None,
) -> Iterator[Sparkle]:
    """A stack that is up, without a release, in FOLDER/home. `releases` are copied as links to the same files."""
    home = Home(folder / "home").make()
    shutil.rmtree(home.releases)
    shutil.copytree(releases, home.releases, copy_function=os.link)
    wanted = stack or quick_stack()
    target = LocalTarget(wanted, home, owner=owner or identify(os.getpid()))
    found = Sparkle(wanted, home, target)
    try:
        target.up(links_argv=list(links_argv) if links_argv else None)
        yield found
    finally:
        found.close()
        remove_releases(home.releases)
        shutil.rmtree(home.data, ignore_errors=True)


def refusal(act: Callable[[], Any]) -> Refused:
    """The refusal that `act` must raise."""
    try:
        act()
    except Refused as error:
        return error
    raise AssertionError("it was not refused")
