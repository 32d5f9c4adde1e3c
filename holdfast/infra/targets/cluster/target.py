"""The cluster target: the six verbs on Kubernetes. Pulumi makes the colors; the switch is one guarded write."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from holdfast.children import poll
from holdfast.errors import Refused
from holdfast.infra.home import Home
from holdfast.infra.probes import in_flight
from holdfast.infra.program.desired import Colors, ColorState
from holdfast.infra.program.model import ServicePlan, switch_of
from holdfast.infra.program.place import cluster_of
from holdfast.infra.release import Release, check_release, read_release
from holdfast.infra.stack import Color, Stack
from holdfast.infra.target import Address, Placement, RouteTable
from holdfast.infra.targets.cluster import autoscale, colors, cuts, hold, images, pods, readiness, table
from holdfast.infra.targets.cluster.api import Object
from holdfast.infra.targets.cluster.lease import Lease
from holdfast.infra.targets.cluster.provision import ClusterProvision
from holdfast.infra.targets.cluster.switches.edge import EdgeWeights
from holdfast.infra.targets.cluster.switches.gateway_api import GatewayWeights
from holdfast.infra.targets.cluster.switches.selector import Selectors

OTHER: dict[Color, Color] = {"blue": "green", "green": "blue"}
SWITCHES: dict[str, type[EdgeWeights] | type[Selectors] | type[GatewayWeights]] = {
    "edge": EdgeWeights,
    "selector": Selectors,
    "gateway-api": GatewayWeights,
}


class ClusterTarget:
    """A stack's environment on a cluster, in one region."""

    def __init__(
        self, stack: Stack, home: Home, provision: ClusterProvision, *, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self.stack = stack
        self.home = home
        self.provision = provision
        self.place = provision.place
        self.api = provision.api
        self.lease = Lease(self.api)
        self.switch = SWITCHES[switch_of(cluster_of(stack))](self.api, stack, self.place)
        self._say = say
        self._token: int | None = None
        self._killed: dict[str, set[str]] = {}

    # -- the whole stack -------------------------------------------------------------------------------------------

    def prepare(self, release: Release) -> None:
        """Have an image of the release on the cluster. Raises Refused where none can be built or loaded."""
        if images.known(self.home, release) is None:
            images.build(self.home, release, self._say)

    def up(self) -> None:
        """Have Pulumi make the stack, and wait until stores and edge are ready."""
        self.provision.up()
        self.provision.wait_up()

    def down(self) -> None:
        """Have Pulumi take it away, and wait until nothing of it is left."""
        self.provision.down()
        self.provision.wait_gone()

    def restarts(self) -> dict[str, str]:
        """Which pods' containers were started again, and which pods were killed and replaced."""
        again = {pods.name(pod): f"{count} times" for pod in self.api.list("Pod") if (count := pods.restarts(pod))}
        return {**again, **dict.fromkeys(self._killed, "killed, another pod came in its place")}

    def is_up(self) -> bool:
        """Whether the namespace is there, and the edge and all stores of the stack are ready in it."""
        return not self.why_not_up()

    def why_not_up(self, *, stores: bool = True) -> str:
        """What of the stack is not ready; empty when it is up."""
        return self.provision.away(stores=stores)

    # -- the six verbs ---------------------------------------------------------------------------------------------

    def start(self, release: Release, placement: Placement, sizes: Mapping[str, int]) -> None:
        """Have Pulumi make the colors, as large as wanted; no autoscaler changes a color from here to the switch.

        While a color is live the pods of the other come one after the other.
        """
        self._refuse_stale()
        check_release(release)
        image = images.require(self.home, release)
        sizes = {service: max(1, sizes[service], self._size_of_live(service)) for service in placement}
        if self.place.one:
            sizes = dict.fromkeys(sizes, 1)
        readiness.wait_ended(self.api, placement)
        gently = bool(self.live().weights)
        begun = {s: 0 if gently and self.deployment(s, c) is None else sizes[s] for s, c in placement.items()}
        colors.write(self.api, self.place, _states(release, placement, begun, image))
        for service, color in placement.items():
            hold.keep(self.api, service, color)
        for color, services in _by_color(placement).items():
            self.provision.have_color(services, color)
        relieved = {service: color for service, color in placement.items() if self.live().live(service)}
        for service, color in relieved.items():
            autoscale.freeze(self.api, service, OTHER[color], sizes[service])
        readiness.grow(self, placement, sizes, gently=gently)
        for service, color in relieved.items():
            autoscale.freeze(self.api, service, color, sizes[service])
        colors.write(self.api, self.place, _states(release, placement, sizes, image))

    def wait_ready(self, placement: Placement) -> None:
        """Probe every pod by its own address until each is ready several times in a row. Raises GateFailed."""
        readiness.wait_ready(self, placement)

    def addresses(self, placement: Placement) -> list[Address]:
        """The pods of the placed colors that have an address."""
        return [
            self._address(pod, service, color)
            for service, color in placement.items()
            for pod in pods.of_color(self.api, self.place, service, color)
            if pods.address(pod)
        ]

    def live(self) -> RouteTable:
        """The route table in force."""
        return table.read(self.api)

    def route(self, routes: RouteTable) -> int:
        """Put a route table in force by one guarded write. Raises Refused for shares where the switch has none."""
        self._check_lock()
        if not self.switch.shares and any(len(weights) > 1 for weights in routes.weights.values()):
            raise Refused(
                "traffic cannot be shared here",
                because=f"stack {self.stack.name} has no edge of its own, and a Service leads to one color",
                way_out="deploy without --weights, or have an edge or a Gateway (cluster.edge, cluster.switch)",
            )
        return self.switch.write(routes)

    def stop(self, placement: Placement) -> None:
        """Have Pulumi take the colors away and wait until their pods have ended; the other color scales as planned."""
        self.check()
        self._refuse_live(placement, "is not stopped")
        self._wait_left()
        kept = colors.read(self.api)
        gone: Colors = {s: {c: kept[s][c]} for s, c in placement.items() if c in kept.get(s, {})}
        colors.write(self.api, self.place, {}, without=gone)
        there = {s: c for s, c in placement.items() if s in gone or self.deployment(s, c)}
        for service, color in placement.items():
            hold.keep(self.api, service, color)
        for color, services in _by_color(there).items():
            self.provision.take_color(services, color)
        for service, color in placement.items():
            autoscale.thaw(self.api, service, OTHER[color], self.plan(service).autoscale)
        readiness.wait_gone(self.api, self.place, there)

    def release_in(self, service: str, color: str) -> Release | None:
        """The release that a color was last started from, if its folder is still there."""
        state = colors.read(self.api).get(service, {}).get(cast(Color, color))
        if state is None:
            return None
        try:
            release = read_release(state.version, self.home.releases)
        except Refused:
            return None
        return release if release.digest == state.digest else None

    def running(self, placement: Placement) -> bool:
        """Whether each placed service has a pod that runs and stays."""
        return bool(placement) and all(
            self.deployment(service, color) is not None
            and any(pods.is_running(pod) for pod in pods.of_color(self.api, self.place, service, color))
            for service, color in placement.items()
        )

    def size_of(self, service: str, color: str) -> int:
        """How many pods a color should have now; the stack's number where there is no such color."""
        deployment = self.deployment(service, color)
        return int(deployment["spec"]["replicas"]) if deployment else self.stack.services[service].replicas

    def in_force(self, routes: RouteTable) -> bool:
        """Whether every edge, or every Service, has taken this table."""
        return self.switch.in_force(routes)

    def edge_color(self) -> str:
        """Ask on a connection of its own."""
        return self.switch.color()

    def edge_url(self) -> str:
        """Where clients send requests."""
        host, port = self.switch.address()
        return f"http://{host}:{port}"

    def preview_url(self, placement: Placement) -> str:
        """Where requests with the preview header reach these colors: the edge, or where there is none, one pod."""
        service = self.stack.edge.service
        found = self.addresses({service: placement[service]}) if service in placement else []
        return self.switch.preview(found[0].host) if found else self.edge_url()

    def answers(self, service: str, color: str) -> tuple[int, int] | None:
        """How many answers were counted for a color: all, and those with a 5xx status; None where nobody counts."""
        return self.switch.answers(service, color)

    def store_dsn(self, store: str) -> str:
        """The URL of a PostgreSQL store for holdfast itself."""
        return self.provision.store_dsn(store)

    def fence(self, token: int) -> None:
        """Changes under an older token than that of the routes are refused from now on."""
        self._token = token

    # -- capabilities ----------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self, holder: str, newer_than: int) -> Iterator[int]:
        """Hold the stack's lock on the cluster, against operators anywhere; yields its fencing token."""
        with self.lease.held(holder, newer_than=newer_than) as token:
            yield token

    def check(self) -> None:
        """Raise when the lock was lost, or a newer operation has overtaken this one: it changes nothing any more."""
        self._refuse_stale()
        self._check_lock()

    def note(self, operation: str) -> None:
        """Say on the cluster which operation is open, and in which home; empty: none is."""
        self.lease.note(operation)

    def noted(self) -> str:
        """What was said last."""
        return self.lease.noted()

    def drift(self) -> list[str]:
        """What somebody changed by hand of what only a release may change."""
        return self.switch.drift()

    def drain(self, placement: Placement) -> None:
        """Announce the close in every pod; they still answer."""
        self.check()
        self._tell(placement, lambda plan: plan.drain)

    def undrain(self, placement: Placement) -> None:
        """Take traffic as before."""
        self._tell(placement, lambda plan: plan.undrain)

    def in_flight(self, placement: Placement) -> int:
        """Sum the gauge `service_in_flight` over the pods that answer."""
        return sum(in_flight(address.host, address.probe_port) for address in self.addresses(placement))

    def hold(self, placement: Placement, until: float | None) -> None:
        """Let the cluster end the colors at `until`, whoever runs then; meanwhile the other color scales as planned."""
        self.check()
        if until is not None:
            self._refuse_live(placement, "is given no end")
        for service, color in placement.items():
            if until is None:
                hold.keep(self.api, service, color)
                continue
            hold.end_at(self.api, self.place, service, color, until)
            autoscale.thaw(self.api, service, OTHER[color], self.plan(service).autoscale)

    def held_until(self, placement: Placement) -> float | None:
        """The earliest end among the placed colors."""
        times = [hold.until(self.deployment(service, color)) for service, color in placement.items()]
        return min((at for at in times if at is not None), default=None)

    def kill(self, instance: str) -> None:
        """SIGKILL everything in a pod, and its end with it; the Deployment makes another."""
        pod = self.api.get("Pod", instance)
        labels = {
            key: pod["metadata"]["labels"][key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/part-of")
        }
        self._killed[instance] = {pods.name(one) for one in self.api.list("Pod", labels)}
        self.api.delete("Pod", instance, grace_s=0)

    def successor(self, killed: Address) -> Address | None:
        """The pod that came in its place, once it has an address."""
        before = self._killed.get(killed.instance, {killed.instance})
        found = self.addresses({killed.service: cast(Color, killed.color)})
        return next((address for address in found if address.instance not in before), None)

    def cut(self, source: str, to: str) -> None:
        """Cut the way from a part's pods to another's by the stack's NetworkPolicies."""
        cuts.cut(self.api, self.place, source, to)

    def heal(self, source: str, to: str) -> None:
        """Open it again."""
        cuts.heal(self.api, self.place, source, to)

    def cuts(self) -> list[tuple[str, str]]:
        """What is cut in this namespace, whoever cut it."""
        return cuts.cuts(self.api)

    # -- inside ----------------------------------------------------------------------------------------------------

    def plan(self, service: str) -> ServicePlan:
        """How a service runs here."""
        return cluster_of(self.stack).services[service]

    def probe_port(self, service: str) -> int:
        """The port of a service's probes."""
        plan = self.plan(service)
        return plan.admin_port if self.stack.services[service].admin else plan.port

    def _address(self, pod: Object, service: str, color: str) -> Address:
        host = pods.address(pod)
        return Address(
            instance=pods.name(pod),
            service=service,
            color=color,
            host=host,
            port=self.plan(service).port,
            probe=f"http://{host}:{self.probe_port(service)}",
        )

    def deployment(self, service: str, color: str) -> Object | None:
        """The Deployment of a color; None when there is none, or when it is ending."""
        found = self.api.find("Deployment", f"{service}-{color}")
        return None if found is None or "deletionTimestamp" in found["metadata"] else found

    def _size_of_live(self, service: str) -> int:
        live = self.live().live(service)
        return self.size_of(service, live) if live else 0

    def _refuse_live(self, placement: Placement, what: str) -> None:
        routes = self.live()
        for service, color in placement.items():
            if routes.weights.get(service, {}).get(color, 0) > 0:
                raise Refused(
                    f"{service} {color} is live and {what}",
                    because="the route table sends traffic to it",
                    way_out="run `holdfast status`, then `holdfast resume` or `holdfast abort`",
                )

    def _wait_left(self) -> None:
        """Wait a little for an edge that has not taken the routes yet, and so still leads to what is about to end."""
        routes = self.live()
        for _ in poll(time.monotonic() + self.stack.release.propagation_timeout_s, every=0.1):
            if not routes.weights or self.switch.in_force(routes):
                return

    def _refuse_stale(self) -> None:
        if self._token is not None:
            table.refuse_stale(self._token, self.live())

    def _check_lock(self) -> None:
        """An operation whose lock was lost changes nothing any more. Without a lock (a test's) the token decides."""
        if self.lease.token:
            self.lease.check()

    def _tell(self, placement: Placement, command: Callable[[ServicePlan], tuple[str, ...]]) -> None:
        for service, color in placement.items():
            if argv := command(self.plan(service)):
                found = [pod for pod in pods.of_color(self.api, self.place, service, color) if pods.is_running(pod)]
                pods.tell(self.api, [pods.name(pod) for pod in found], argv, service)


def _states(release: Release, placement: Placement, sizes: Mapping[str, int], image: images.Image) -> Colors:
    """What the placed colors get from a release."""
    return {s: {color: _state(release, s, sizes[s], image)} for s, color in placement.items()}


def _state(release: Release, service: str, size: int, image: images.Image) -> ColorState:
    """What a color gets from a release. An image that we built starts as its release says, another one as it likes."""
    config = json.loads((Path(release.path) / "config.json").read_bytes())
    command = [part.replace("{python}", "python") for part in release.manifest.services[service].command]
    return ColorState(
        version=release.version,
        replicas=size,
        image=image.reference,
        config=config,
        command=command if image.built else [],
        digest=release.digest,
    )


def _by_color(placement: Placement) -> dict[Color, list[str]]:
    found: dict[Color, list[str]] = {}
    for service, color in placement.items():
        found.setdefault(color, []).append(service)
    return found
