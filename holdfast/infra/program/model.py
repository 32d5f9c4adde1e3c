"""The field `cluster` of a stack's YAML: what its half on Kubernetes is made of, and in which environments and regions.

Sizes are Kubernetes quantities; schedules are cron lines; times are seconds. {version} in an image is the release's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from holdfast.config import convert, convert_map, invalid
from holdfast.infra.program.plans import AnyPart, Apisix, Istio, Kong, Part, Resources

EnvironmentName = Literal["dev", "staging", "prod"]
RegionName = Literal["primary", "secondary"]
SwitchName = Literal["edge", "selector", "gateway-api"]
LABEL = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
GATEWAY = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
RESERVED = ("client", "closed", "drills", "edge", "namespace", "network", "world")
"""Names that the program gives itself."""


class Autoscale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of the horizontal autoscaler, and the CPU use (percent of the request) that it aims at."""

    least: int = 2
    most: int = 6
    cpu_percent: int = 70


class Companion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A container beside a service's own, in each of its pods; it shares the service's socket."""

    image: str
    command: list[str] = []
    env: dict[str, str] = {}
    resources: Resources = Resources()


class ServicePlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a service of the stack runs on a cluster.

    `prestop_s`: how long a pod goes on serving after it was told to end, so that every node and edge has heard of it:
    twice the measured propagation p99, 5 s at least, 10 s behind an edge that finds pods by DNS. `longest_s`: the
    longest request; the grace period is the sum and a margin.
    `ready`: the path of the kubelet's readiness probe, the stack's own where it is empty. A service that answers its
    own readiness with no while it drains names another one here: a held color must stay among the endpoints, or the
    way back would have nowhere to lead. `start_s`: how long a color may take until all its pods are ready.
    `drain` and `undrain` are commands that are run in each container; empty where a service cannot be told.
    `writable` are folders that the service writes to; `socket` is a Unix socket that it shares with its companions.
    """

    image: str = ""
    command: list[str] = []
    port: int = 8080
    admin_port: int = 8081
    resources: Resources = Resources(cpu="200m", memory="256Mi", memory_limit="512Mi")
    autoscale: Autoscale | None = Autoscale()
    prestop_s: int = 10
    longest_s: int = 30
    uid: int = 10001
    live: str = "/healthz"
    ready: str = ""
    start_s: float = 60.0
    drain: tuple[str, ...] = ("/bin/sh", "-c", "kill -USR1 1")
    undrain: tuple[str, ...] = ("/bin/sh", "-c", "kill -USR2 1")
    writable: tuple[str, ...] = ("/tmp",)  # noqa: S108 - the folder inside of the container, a volume of its own
    config: dict[str, Any] = {}
    secrets: list[str] = []
    socket: str = ""
    companions: dict[str, Companion] = {}


class EdgePlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Envoy in front of the services, as on one machine: weights and previews are routes of its own.

    `expose`: the type of the Service that clients reach.
    """

    image: str = "envoyproxy/envoy:distroless-v1.36.2"
    command: tuple[str, ...] = ("envoy",)
    replicas: int = 2
    port: int = 8080
    expose: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    resources: Resources = Resources(cpu="250m", memory="128Mi", memory_limit="256Mi")
    prestop_s: int = 5
    uid: int = 10001


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a namespace may use altogether."""

    cpu: str = "4"
    memory: str = "8Gi"
    pods: int = 40
    storage: str = "50Gi"


class Sandbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plugin, contained: gRPC on `port`, no network but `allow` ("host CIDR" entries like 10.1.0.0/16:443)."""

    image: str
    command: list[str] = []
    port: int = 50051
    replicas: int = 1
    cpu: str = "500m"
    memory: str = "256Mi"
    uid: int = 10002
    clients: list[str] = []
    allow: list[str] = []


class Tenant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant: a namespace with a quota, closed to all others; `sandboxes` names the plugins that run there."""

    quota: Quota = Quota(cpu="2", memory="2Gi", pods=20, storage="10Gi")
    sandboxes: list[str] = []


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """dev, staging or prod. `size: one` runs one instance of everything; `full` what the plans say."""

    size: Literal["one", "full"] = "full"
    regions: tuple[RegionName, ...] = ("primary",)
    storage_class: str = ""
    quota: Quota | None = None


class Region(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A region: a context of the kubeconfig (empty: the current one), and for each part the host that it follows."""

    place: str = ""
    context: str = ""
    follows: dict[str, str] = {}


def one_region() -> dict[RegionName, Region]:
    """The regions of a stack that names none."""
    return {"primary": Region()}


class Drills(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Drills that run by themselves, each night at 02:00 by default."""

    image: str
    command: list[str]
    schedule: str = "0 2 * * *"
    timezone: str = "Etc/UTC"
    deadline_s: int = 3600
    resources: Resources = Resources(cpu="250m", memory="256Mi", memory_limit="512Mi")
    uid: int = 10001


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cluster's half of a stack, whole. `only`: there is no other half, the stack does not run on one machine.

    `image`: of services that name none. `version`: what a first `up` starts in blue; empty where releases are built and
    deployed. `pull`: Never where images are put onto the nodes by hand. `switch`: by what a release moves the traffic;
    empty: the edge where there is one, else the Services' selectors. `gateway`: the Gateway (NAME or NAMESPACE/NAME)
    that the switch `gateway-api` gives a route to.
    """

    owner: str
    services: dict[str, ServicePlan]
    parts: dict[str, AnyPart] = {}
    edge: EdgePlan | None = None
    switch: SwitchName | Literal[""] = ""
    gateway: str = ""
    environments: dict[EnvironmentName, Environment]
    regions: dict[RegionName, Region] = msgspec.field(default_factory=one_region)
    tenants: dict[str, Tenant] = {}
    sandboxes: dict[str, Sandbox] = {}
    drills: Drills | None = None
    only: bool = False
    image: str = ""
    version: str = ""
    pull: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"


def parse_cluster(data: object, path: str) -> Cluster:
    """Convert plain data to a Cluster. Entries of a map are converted one by one, so that a message names the key."""
    if isinstance(data, dict):
        maps: dict[str, Any] = {
            "services": ServicePlan,
            "parts": AnyPart,
            "environments": Environment,
            "regions": Region,
            "tenants": Tenant,
            "sandboxes": Sandbox,
        }
        for key, kind in maps.items():
            if key in data:
                convert_map(data[key], kind, f"{path}.{key}")
    return convert(data, Cluster, path)


def check_cluster(cluster: Cluster, services: list[str], stores: Mapping[str, str], path: str) -> None:
    """Check what crosses from one part of the file to another. Raises UsageError with the path."""
    _same(f"{path}.services", services, list(cluster.services), "the stack's services")
    _check_forms(cluster, path)
    _check_switch(cluster, path)
    for name, kind in stores.items():
        if name not in cluster.parts or kind_of(cluster.parts[name]) != kind:
            raise invalid(f"{path}.parts", f"expected {name} of kind {kind}, because the stack's stores have it")
    for where, name, known in _references(cluster, services):
        if name not in known:
            raise invalid(f"{path}.{where}", f"{name} is not one of {', '.join(known) or 'none'}")
    for name, plan in cluster.services.items():
        if not (plan.image or cluster.image):
            raise invalid(f"{path}.services.{name}.image", "expected an image, because cluster.image names none")
        if plan.autoscale and not 1 <= plan.autoscale.least <= plan.autoscale.most:
            raise invalid(f"{path}.services.{name}.autoscale", "expected 1 <= least <= most")


def _check_forms(cluster: Cluster, path: str) -> None:
    """Names become names of objects: DNS labels, each of one thing only, none that the program uses itself."""
    seen: set[str] = set(RESERVED)
    groups: dict[str, Iterable[str]] = {
        "services": cluster.services,
        "parts": cluster.parts,
        "sandboxes": cluster.sandboxes,
    }
    for group, names in groups.items():
        for name in names:
            if not LABEL.fullmatch(name):
                raise invalid(f"{path}.{group}.{name}", "expected a name of at most 40 letters a-z, digits and -")
            if name in seen:
                raise invalid(f"{path}.{group}.{name}", "something else has that name already")
            seen.add(name)
    for name in cluster.tenants:
        if not LABEL.fullmatch(name):
            raise invalid(f"{path}.tenants.{name}", "expected a name of at most 40 letters a-z, digits and -")


def _check_switch(cluster: Cluster, path: str) -> None:
    """A switch has what it moves the traffic by, and nothing beside it that would move it too."""
    kind = switch_of(cluster)
    if kind == "edge" and not cluster.edge:
        raise invalid(f"{path}.switch", "expected cluster.edge beside it, because the edge's weights are the switch")
    if kind != "edge" and cluster.edge:
        raise invalid(f"{path}.switch", f"expected edge, or no cluster.edge: {kind} knows nothing of the edge's routes")
    if kind == "gateway-api" and not cluster.gateway:
        raise invalid(f"{path}.gateway", "expected the Gateway's name, because the switch gateway-api needs one")
    if cluster.gateway and kind != "gateway-api":
        raise invalid(f"{path}.gateway", f"expected none, because the switch is {kind}")
    if cluster.gateway and not GATEWAY.fullmatch(cluster.gateway):
        raise invalid(f"{path}.gateway", "expected NAME or NAMESPACE/NAME of a Gateway")


def switch_of(cluster: Cluster) -> SwitchName:
    """By what a release moves the traffic."""
    return cluster.switch or ("edge" if cluster.edge else "selector")


def kind_of(part: Part) -> str:
    """The word by which a part's kind is known in YAML."""
    return str(type(part).__struct_config__.tag)


def _references(cluster: Cluster, services: list[str]) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Each name that stands for something else: where it is, the name, and the names that there are."""
    regions, parts, sandboxes = list(cluster.regions), list(cluster.parts), list(cluster.sandboxes)
    for name, part in cluster.parts.items():
        if isinstance(part, Kong | Apisix):
            yield from ((f"parts.{name}.routes.{key}", route.service, services) for key, route in part.routes.items())
        if isinstance(part, Istio):
            yield from ((f"parts.{name}.services", service, services) for service in part.services)
    for name, environment in cluster.environments.items():
        yield from ((f"environments.{name}.regions", region, regions) for region in environment.regions)
    for name, plan in cluster.regions.items():
        yield from ((f"regions.{name}.follows", part, parts) for part in plan.follows)
    for name, tenant in cluster.tenants.items():
        yield from ((f"tenants.{name}.sandboxes", sandbox, sandboxes) for sandbox in tenant.sandboxes)
    for name, sandbox_plan in cluster.sandboxes.items():
        yield from ((f"sandboxes.{name}.clients", client, services) for client in sandbox_plan.clients)


def _same(path: str, wanted: list[str], found: list[str], what: str) -> None:
    if set(wanted) != set(found):
        raise invalid(path, f"expected {what}, which are {', '.join(wanted)}; got {', '.join(found) or 'none'}")
