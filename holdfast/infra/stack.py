"""A stack: what should run. One YAML file, typed; unknown keys are refused with the path of the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from holdfast.config import convert, convert_map, invalid, read_yaml
from holdfast.content import resolve
from holdfast.infra.program.model import Cluster, check_cluster, parse_cluster

Color = Literal["blue", "green"]
COLORS: tuple[Color, Color] = ("blue", "green")


class Store(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A store. `version`: PostgreSQL's major."""

    kind: Literal["postgres", "redis"]
    version: Literal[16, 18] = 18


class Edge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The edge: which service it leads to, how long a request may take (seconds), and the paths without that limit."""

    service: str
    timeout_s: float = 15.0
    streams: list[str] = []


class Ready(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Readiness: `path` answers 200 `times` times in a row on every instance within `timeout_s` seconds."""

    path: str = "/readyz"
    times: int = 3
    timeout_s: float = 20.0


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service that a release carries. `authority`: the name by which other services call it through the edge."""

    protocol: Literal["http", "grpc"]
    replicas: int = 2
    authority: str = ""
    admin: bool = False
    ready: Ready = Ready()
    env: dict[str, str] = {}


class Link(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from", "to": "to"}
):
    """A named edge of the stack."""

    source: str
    to: str


class Migrations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Alembic folder of a store."""

    store: str
    folder: str


class Effects(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to read effects: a query with %(prefix)s that gives request_id, key, color, instance, at."""

    store: str
    query: str


class Health(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A path that must answer 200 within `within_s` seconds."""

    path: str = "/healthz"
    within_s: float = 0.5


class ReleaseRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a release must pass. `gate` and `watch` name load profiles; times are seconds."""

    gate: str
    watch: str
    health: Health = Health()
    watch_s: float = 8.0
    max_error_ratio: float = 0.01
    max_p99_ms: float = 200.0
    propagation_timeout_s: float = 10.0
    drain_s: float = 10.0
    hold_s: float = 3600.0


class Stack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stack, whole."""

    name: str
    services_from: str
    stores: dict[str, Store]
    edge: Edge
    services: dict[str, Service]
    links: dict[str, Link]
    release: ReleaseRules
    migrations: Migrations | None = None
    effects: Effects | None = None
    cluster: Cluster | None = None

    def callers_of(self, service: str) -> list[str]:
        """The services that call `service` through the edge's internal listener."""
        return [link.source for link in self.links.values() if link.to == service]

    def clients_links(self) -> list[str]:
        """The links from the clients to the edge: exactly one, but for a stack that runs on a cluster only."""
        return [name for name, link in self.links.items() if (link.source, link.to) == ("client", "edge")]

    def internal(self) -> list[str]:
        """The services that others call through the edge, in the order of the file."""
        return [name for name in self.services if any(caller in self.services for caller in self.callers_of(name))]


def load_stack(name: str) -> Stack:
    """Read and check a stack by name (`sparkle`) or path. Raises UsageError with the path of what is wrong."""
    return parse_stack(read_yaml(path := resolve(name, "infra/stacks", ".yaml")), shown(path))


def shown(path: Path) -> str:
    """A path as a person would write it: relative to the working folder where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def parse_stack(data: dict[str, Any], path: str) -> Stack:
    """Convert plain data to a Stack. `path` is the file's name, for messages."""
    maps: dict[str, type[Any]] = {"stores": Store, "services": Service, "links": Link}
    plain = dict(data)
    _check_env(plain.get("services"), f"{path}: services")
    for key, kind in maps.items():
        if key in plain:
            convert_map(plain[key], kind, f"{path}: {key}")
    for key, kind in {"edge": Edge, "release": ReleaseRules, "migrations": Migrations, "effects": Effects}.items():
        if key in plain:
            convert(plain[key], kind, f"{path}: {key}")
    if plain.get("cluster") is not None:
        parse_cluster(plain["cluster"], f"{path}: cluster")
    stack = convert(plain, Stack, f"{path}:")
    _check_names(stack, path)
    return stack


def _check_env(services: object, path: str) -> None:
    """Name the variable of a wrong `env`: a conversion of the whole would say `env[...]`."""
    for name, service in services.items() if isinstance(services, dict) else ():
        if isinstance(service, dict) and "env" in service:
            convert_map(service["env"], str, f"{path}.{name}.env")


def _check_names(stack: Stack, path: str) -> None:
    if stack.edge.service not in stack.services:
        raise invalid(f"{path}: edge.service", f"{stack.edge.service} is not one of {', '.join(stack.services)}")
    parts = stack.cluster.parts if stack.cluster else {}
    ends = {"client", "edge", *stack.services, *stack.stores, *parts}
    for name, link in stack.links.items():
        for end in (link.source, link.to):
            if end not in ends:
                raise invalid(f"{path}: links.{name}", f"{end} is neither a service nor a store of this stack")
    _check_unique(stack, path)
    for name, service in stack.services.items():
        if service.replicas < 1:
            raise invalid(f"{path}: services.{name}.replicas", f"expected 1 or more, got {service.replicas}")
        if name in stack.internal() and not service.authority:
            raise invalid(f"{path}: services.{name}.authority", "expected a name, because other services call it")
    for key, part in (("migrations", stack.migrations), ("effects", stack.effects)):
        if part and part.store not in stack.stores:
            raise invalid(f"{path}: {key}.store", f"{part.store} is not one of {', '.join(stack.stores)}")
    found = stack.clients_links()
    if len(found) != 1 and not (stack.cluster and stack.cluster.only):
        raise invalid(f"{path}: links", f"expected one link from client to edge, got {', '.join(found) or 'none'}")
    if stack.cluster:
        kinds = {name: store.kind for name, store in stack.stores.items()}
        check_cluster(stack.cluster, list(stack.services), kinds, f"{path}: cluster")


def _check_unique(stack: Stack, path: str) -> None:
    """Ports, logs and processes go by these names, so that no two parts may share one."""
    taken = ["client", "edge", "links"]
    for key, names in (("services", stack.services), ("stores", stack.stores)):
        for name in names:
            if name in taken:
                raise invalid(f"{path}: {key}.{name}", f"the name is taken; taken: {', '.join(taken)}")
            taken.append(name)
