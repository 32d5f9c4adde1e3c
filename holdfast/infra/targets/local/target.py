"""The local target: the six verbs, on processes of this machine kept by the stack's supervisor."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

import msgspec

from holdfast.children import Identity, poll
from holdfast.durable import replace_file
from holdfast.errors import EnvironmentFailed, GateFailed, HoldfastError, Refused
from holdfast.infra.edge.routes import cluster_name, read_table, route_file
from holdfast.infra.home import Home
from holdfast.infra.probes import edge_color, http_get, in_flight
from holdfast.infra.release import Release, check_release, read_release
from holdfast.infra.stack import COLORS, Color, Stack
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import Kept
from holdfast.infra.target import Address, Placement, RouteTable
from holdfast.infra.targets.local.instances import instance_names, instance_unit
from holdfast.infra.targets.local.ports import HOST
from holdfast.infra.targets.local.provision import Provision
from holdfast.infra.targets.local.state import BEGIN_ANEW, read_state


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What a color was last started from."""

    version: str
    digest: str
    size: int


class LocalTarget:
    """A stack on this machine. `owner`: the process whose end ends the stack; None for a stack that stays."""

    def __init__(self, stack: Stack, home: Home, *, owner: Identity | None = None) -> None:
        self.stack = stack
        self.home = home
        self.supervisor = SupervisorClient(home.root, owner=owner)
        self.provision = Provision(stack, home, self.supervisor)

    # -- the whole stack -------------------------------------------------------------------------------------------

    def up(self, *, links_argv: list[str] | None = None, new_ports: bool = False) -> None:
        """Start the stores, the edge, and the colors that were live; what runs as it should is left as it is.

        All or nothing where nothing ran before: a failure or an interrupt ends what was started until then.
        """
        ran = self.provision.anything_runs()
        self.provision.prepare(links_argv=links_argv, new_ports=new_ports)
        try:
            self.supervisor.ensure()
            self.provision.start()
            self._start_live_colors()
        except BaseException:
            if not ran:
                self._end_what_was_started()
            raise

    def down(self) -> None:
        """End every process of the stack. Data, releases and evidence stay."""
        if not self.home.root.exists():
            return
        self.supervisor.ensure()
        self.supervisor.shutdown()

    def prepare(self, release: Release) -> None:
        """Nothing: a release starts from its folder."""

    def restarts(self) -> dict[str, str]:
        """Which processes the supervisor had to start again, and how often."""
        return {
            name: f"{kept.restarts} times, the last end was {kept.last_exit}"
            for name, kept in self.units().items()
            if kept.restarts
        }

    def is_up(self) -> bool:
        """Whether the edge and all stores run."""
        if not self.home.root.exists() or not self.supervisor.running():
            return False
        units = self.supervisor.units()
        return all(name in units and units[name].alive() for name in ("edge", *self.stack.stores))

    def units(self) -> dict[str, Kept]:
        """All processes by name."""
        return self.supervisor.units()

    # -- the six verbs ---------------------------------------------------------------------------------------------

    def start(self, release: Release, placement: Placement, sizes: Mapping[str, int]) -> None:
        """Start instances from a release whose files are checked first; those above the size are ended.

        While a color is live they start one after the other: a starting interpreter needs a core for a second, and
        the users of the live color must not feel it.
        """
        self._refuse_stale(self.supervisor.token)
        check_release(release)
        self._remember(release, placement, sizes)
        gently = bool(self.live().weights)
        values, running = self.provision.values(), self.supervisor.units()
        for service, color in placement.items():
            for name in instance_names(service, color, sizes[service]):
                unit = instance_unit(
                    name,
                    service,
                    self.stack.services[service],
                    color,
                    release,
                    values,
                    self.home.logs / f"{name}.log",
                )
                self.provision.refuse_taken_ports(name, running.get(name))
                self.supervisor.start(unit)
                if gently:
                    self._wait_alive(name, service)
            surplus = set(self._running({service: color})) - set(instance_names(service, color, sizes[service]))
            self.supervisor.stop(sorted(surplus))

    def wait_ready(self, placement: Placement) -> None:
        """Probe every instance by its own address until each is ready several times in a row."""
        addresses = self.addresses(placement)
        rows = {address.instance: 0 for address in addresses}
        said = dict.fromkeys(rows, "no answer")
        limit = max(self.stack.services[address.service].ready.timeout_s for address in addresses)
        for _ in poll(time.monotonic() + limit, every=0.1):
            for address in addresses:
                ready = self.stack.services[address.service].ready
                if rows[address.instance] >= ready.times:
                    continue
                answer = http_get(address.host, address.probe_port, ready.path)
                rows[address.instance] = rows[address.instance] + 1 if answer.status == 200 else 0
                said[address.instance] = answer.reason or f"{answer.status} {answer.body[:200]}"
            unready = [a.instance for a in addresses if rows[a.instance] < self.stack.services[a.service].ready.times]
            if not unready:
                return
        raise GateFailed(
            f"not ready within {limit:g} s: {', '.join(unready)}",
            because="; ".join(f"{name}: {self._why_unready(name, said[name])}" for name in unready),
            way_out=f"see `holdfast logs {unready[0]}`; nothing was switched",
        )

    def addresses(self, placement: Placement) -> list[Address]:
        """The instances that should run in the placed colors."""
        started = self._started()
        found = []
        for service, color in placement.items():
            what = started.get(service, {}).get(color)
            for name in instance_names(service, color, what.size if what else 0):
                port = self.provision.port(name)
                probe = self.provision.port(f"{name}-admin") if self.stack.services[service].admin else port
                found.append(
                    Address(
                        instance=name,
                        service=service,
                        color=color,
                        host=HOST,
                        port=port,
                        probe=f"http://{HOST}:{probe}",
                    )
                )
        return found

    def live(self) -> RouteTable:
        """Read the route file: the one truth about which color is live."""
        return read_live(self.home)

    def route(self, table: RouteTable) -> int:
        """Replace the route file. A table that is older than the one in force is refused (fencing)."""
        self._refuse_stale(table.token)
        return replace_file(self.provision.routes, route_file(self.stack, table))

    def stop(self, placement: Placement) -> None:
        """End instances; they finish what is in flight first. A color that may be live is never stopped."""
        self._refuse_stale(self.supervisor.token)
        table = self.live()
        for service, color in placement.items():
            if table.weights.get(service, {}).get(color, 0) > 0:
                raise Refused(
                    f"{service} {color} is live and is not stopped",
                    because="the route table sends traffic to it",
                    way_out="run `holdfast status`, then `holdfast resume` or `holdfast abort`",
                )
        self.supervisor.stop(self._running(placement))

    def release_in(self, service: str, color: str) -> Release | None:
        """The release that a color was last started from, if its folder is still there."""
        what = self._started().get(service, {}).get(cast(Color, color))
        if what is None:
            return None
        try:
            release = read_release(what.version, self.home.releases)
        except Refused:
            return None
        return release if release.digest == what.digest else None

    def in_force(self, table: RouteTable) -> bool:
        """Ask Envoy which version of the route file it has taken."""
        answer = http_get(HOST, self.provision.port("edge-admin"), "/stats?filter=rds.*version_text")
        return f'rds.holdfast.version_text: "{table.serial}"' in answer.body

    def edge_color(self) -> str:
        """Ask the edge on a connection of its own."""
        return edge_color(HOST, self.provision.port("edge"), self.stack.release.health.path)

    def answers(self, service: str, color: str) -> tuple[int, int] | None:
        """How many answers Envoy has counted for a color since it started: all, and those with a 5xx status."""
        name = cluster_name(service, color)
        answer = http_get(HOST, self.provision.port("edge-admin"), f"/stats?filter=^cluster.{name}.upstream_rq_")
        counted = dict(line.split(": ", 1) for line in answer.body.splitlines() if ": " in line)
        prefix = f"cluster.{name}.upstream_rq_"
        return int(counted.get(f"{prefix}completed", 0)), int(counted.get(f"{prefix}5xx", 0))

    def store_dsn(self, store: str) -> str:
        """The URL of a PostgreSQL store for holdfast itself: direct, not through a link."""
        return self.provision.store_dsn(store)

    def fence(self, token: int) -> None:
        """The supervisor refuses calls under an older token from now on."""
        self.supervisor.token = token

    def edge_url(self) -> str:
        """Where clients send requests: the edge, or what serves the link to it."""
        return f"http://{self.provision.edge_address()}"

    def preview_url(self, placement: Placement) -> str:
        """The edge: the preview header leads to these colors."""
        return self.edge_url()

    # -- capabilities ----------------------------------------------------------------------------------------------

    def drain(self, placement: Placement) -> None:
        """SIGUSR1: announce the close, move long streams; still answer."""
        self.supervisor.signal(self._running(placement), signal.SIGUSR1)

    def undrain(self, placement: Placement) -> None:
        """SIGUSR2: take traffic as before."""
        self.supervisor.signal(self._running(placement), signal.SIGUSR2)

    def in_flight(self, placement: Placement) -> int:
        """Sum the gauge `service_in_flight` over the instances that answer."""
        return sum(in_flight(address.host, address.probe_port) for address in self.addresses(placement))

    def hold(self, placement: Placement, until: float | None) -> None:
        """Let the supervisor end the instances at `until`, whoever runs then."""
        self.supervisor.expire(self._running(placement), until)

    def held_until(self, placement: Placement) -> float | None:
        """The earliest end among the placed instances."""
        units = self.supervisor.units()
        times = [units[name].expires_at for name in self._running(placement)]
        return min((at for at in times if at is not None), default=None)

    def running(self, placement: Placement) -> bool:
        """Whether each placed service has an instance that runs."""
        units = self.supervisor.units()
        return bool(placement) and all(
            any(units[name].alive() and not units[name].stopping for name in self._running({service: color}))
            for service, color in placement.items()
        )

    def kill(self, instance: str) -> None:
        """SIGKILL an instance, a store or the edge; the supervisor starts it again."""
        self.supervisor.signal([instance], signal.SIGKILL)

    def successor(self, killed: Address) -> Address | None:
        """The instance itself, once the supervisor has started it again."""
        kept = self.supervisor.units().get(killed.instance)
        return killed if kept is not None and kept.restarts > 0 and kept.alive() else None

    # -- inside ----------------------------------------------------------------------------------------------------

    def _end_what_was_started(self) -> None:
        """A stack that is up in part serves nobody and keeps its ports. What stopped it is told, not this."""
        with suppress(HoldfastError, OSError):
            self.down()

    def _start_live_colors(self) -> None:
        table = self.live()
        for service, weights in table.weights.items():
            for color in [color for color in COLORS if weights.get(color)]:
                size = self.size_of(service, color)
                self.start(self._release_of(service, color), {service: color}, {service: size})
        live = {s: cast(Color, table.live(s)) for s in self.stack.services if table.live(s)}
        if live:
            self.wait_ready(live)

    def _release_of(self, service: str, color: Color) -> Release:
        """The release of a color that is live. Raises Refused when its folder is gone or is not what was deployed."""
        what, release = self.started_in(service, color), self.release_in(service, color)
        if release is None:
            version = what.version if what else "unknown"
            raise Refused(
                f"release {version}, which is live as {service} {color}, cannot be started",
                because=f"its folder in {self.home.releases} is gone, or is not what was deployed",
                way_out="bring that folder back, or begin anew: holdfast down --data, holdfast up",
            )
        return release

    def _refuse_stale(self, token: int | None) -> None:
        """Refuse an operation that a newer one has overtaken, before it changes anything."""
        newest = self.live().token
        if token is not None and token < newest:
            raise Refused(
                "this operation has been overtaken",
                because=f"the routes were written under token {newest}, this operation has {token}",
                way_out="run `holdfast status`",
            )

    def _wait_alive(self, name: str, service: str) -> None:
        """Wait until a starting instance answers at all; an instance that never does is wait_ready's to judge."""
        port = self.provision.port(f"{name}-admin" if self.stack.services[service].admin else name)
        for _ in poll(time.monotonic() + 3.0, every=0.05):
            if http_get(HOST, port, self.stack.release.health.path, timeout=0.5).status:
                return

    def _why_unready(self, name: str, said: str) -> str:
        kept = self.supervisor.units().get(name)
        if kept and kept.restarts > 1:
            return f"it ended and was started again {kept.restarts} times (exit {kept.last_exit})"
        return said

    def _running(self, placement: Placement) -> list[str]:
        """Names of the units of the placed colors, whatever size they have."""
        prefixes = tuple(f"{service}-{color}-" for service, color in placement.items())
        return sorted(name for name in self.supervisor.units() if name.startswith(prefixes))

    def started_in(self, service: str, color: Color) -> Started | None:
        """What a color was last started from; None when it never was."""
        return self._started().get(service, {}).get(color)

    def _started(self) -> dict[str, dict[Color, Started]]:
        path = self.home.state / "colors.json"
        return read_state(path, dict[str, dict[Color, Started]], way_out=BEGIN_ANEW) or {}

    def _remember(self, release: Release, placement: Placement, sizes: Mapping[str, int]) -> None:
        started = self._started()
        for service, color in placement.items():
            what = Started(version=release.version, digest=release.digest, size=sizes[service])
            started.setdefault(service, {})[color] = what
        replace_file(self.home.state / "colors.json", msgspec.json.encode(started))

    def size_of(self, service: str, color: str) -> int:
        """The stack's number, whatever a color was started with before: only the stack's YAML changes it."""
        return self.stack.services[service].replicas


def read_live(home: Home) -> RouteTable:
    """The route table of a home; empty before the first release."""
    path = home.envoy / "routes" / "routes.json"
    if not path.exists():
        return RouteTable()
    try:
        return read_table(path.read_bytes())
    except (KeyError, IndexError, ValueError, msgspec.DecodeError) as error:
        raise EnvironmentFailed(
            f"the route file {Path(path)} cannot be read",
            because=repr(error),
            way_out="holdfast down, then holdfast up",
        ) from error
