"""What must be there before a release: folders, ports, secrets, stores, links, the edge."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from holdfast.children import tagged
from holdfast.config import Secret
from holdfast.durable import replace_file
from holdfast.errors import Refused, UsageError
from holdfast.infra.edge.bootstrap import EdgePorts, bootstrap
from holdfast.infra.edge.routes import route_file
from holdfast.infra.home import Home
from holdfast.infra.probes import port_is_free, who_listens
from holdfast.infra.stack import COLORS, Stack
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import STACK_TAG, Kept, Unit, changes_with
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.local import envoy, postgres, redis
from holdfast.infra.targets.local.instances import instance_names
from holdfast.infra.targets.local.ports import HOST, kept_ports, link_names, listens_on, port_names
from holdfast.infra.targets.local.secrets import kept_secrets
from holdfast.infra.targets.local.state import read_state

STORE_TIMEOUT = 20.0


class LinkAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A link: where its callers go, and where it leads. They are the same where nothing serves the links."""

    name: str
    listen: str
    upstream: str


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """state/links.json, the table that the program which serves the links reads. `argv` is empty for direct links.

    `cwd` is the folder in which the program was named, and in which it runs.
    """

    argv: list[str] = []
    cwd: str = "/"
    links: list[LinkAddress] = []


class Provision:
    """The stores, the links and the edge of a local stack."""

    def __init__(self, stack: Stack, home: Home, supervisor: SupervisorClient) -> None:
        self.stack = stack
        self.home = home
        self.supervisor = supervisor
        self.routes = home.envoy / "routes" / "routes.json"
        self._links = home.state / "links.json"

    def prepare(self, *, links_argv: list[str] | None, new_ports: bool) -> None:
        """Make folders, ports, secrets, links, stores' data and the edge's files. Starts nothing."""
        _refuse_cluster_only(self.stack)
        if new_ports and self.anything_runs():
            raise Refused(
                "a stack that runs keeps its ports",
                because="its processes listen on them",
                way_out="holdfast down, then holdfast up --new-ports",
            )
        links = self._kept_links() if links_argv is None else Links(argv=links_argv, cwd=str(Path.cwd()))
        links = _with_program(links)
        self.home.make()
        self.routes.parent.mkdir(exist_ok=True)
        if new_ports:
            (self.home.state / "ports.json").unlink(missing_ok=True)
        self._ports()
        self._write_links(links)
        for name, store in self.stack.stores.items():
            if store.kind == "postgres":
                postgres.make_data(store.version, self.home.data / name, self._secret(name))
        if not self.routes.exists():
            replace_file(self.routes, route_file(self.stack, RouteTable()))

    def start(self) -> None:
        """Start stores, links and edge, and wait until each works."""
        units = [*self._store_units(), *self._link_units(), self._edge_unit()]
        running = self.supervisor.units()
        for unit in units:
            self.refuse_taken_ports(unit.name, running.get(unit.name))
        for unit in units:
            self.supervisor.start(unit)
        for name, store in self.stack.stores.items():
            port, secret = self.port(name), self._secret(name)
            if store.kind == "postgres":
                postgres.wait_for_postgres(name, port, secret, self.stack.name, timeout=STORE_TIMEOUT)
            else:
                redis.wait_for_redis(name, port, secret, timeout=STORE_TIMEOUT)
        envoy.wait_for_envoy(self.port("edge-admin"), timeout=STORE_TIMEOUT)

    def anything_runs(self) -> bool:
        """Whether a supervisor or, where it was killed, any process of the stack runs."""
        return self.supervisor.running() or any(tagged(STACK_TAG, str(self.home.root)))

    def refuse_taken_ports(self, unit: str, running: Kept | None) -> None:
        """Raise Refused when something else listens on a port of a unit that does not run yet."""
        if running and running.alive():
            return
        for name, port in self._ports().items():
            if listens_on(unit, name) and not port_is_free(HOST, port):
                raise Refused(
                    f"port {port} of {name} is taken",
                    because=f"{who_listens(port)} listens on it",
                    way_out="end it, or give the stack other ports: holdfast down && holdfast up --new-ports",
                )

    def port(self, name: str) -> int:
        """The port of a name like `edge` or `engine-blue-1`."""
        return self._ports()[name]

    def edge_address(self) -> str:
        """Where clients reach the edge, as host:port: the listen address of their link to it."""
        (name,) = self.stack.clients_links()
        return next(link.listen for link in self.links().links if link.name == name)

    def values(self) -> dict[str, str]:
        """What an instance's environment may name: port:…, link:…, postgres:LINK, redis:LINK."""
        values = {f"port:{name}": str(port) for name, port in self._ports().items()}
        for link in self.links().links:
            values[f"link:{link.name}"] = link.listen
            store = self._store_behind(link.name)
            if store:
                kind = self.stack.stores[store].kind
                values[f"{kind}:{link.name}"] = self._store_url(store, int(link.listen.rpartition(":")[2]))
        for name in self.stack.internal():
            for link_name, link_spec in self.stack.links.items():
                if link_spec.to == name:
                    values[f"link:{link_name}"] = f"{HOST}:{self.port(f'internal-{name}')}"
        return values

    def store_dsn(self, store: str) -> str:
        """The URL of a PostgreSQL store for holdfast itself: direct, not through a link."""
        return self._store_url(store, self.port(store))

    def links(self) -> Links:
        """The link table, as the last `up` wrote it. Raises Refused when it cannot be read."""
        return self._kept_links()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _kept_links(self) -> Links:
        """The links of the last `up`; direct ones before the first."""
        way_out = "holdfast down, then holdfast up --direct-links, or --links-argv with the program that serves them"
        return read_state(self._links, Links, way_out=way_out) or Links()

    def _ports(self) -> dict[str, int]:
        return kept_ports(self.home.state / "ports.json", port_names(self.stack))

    def _secret(self, name: str) -> Secret:
        return kept_secrets(self.home.state / "secrets.json", list(self.stack.stores))[name]

    def _store_behind(self, link: str) -> str:
        """The name of the store that a link leads to; empty where it leads elsewhere."""
        spec = self.stack.links.get(link)
        return spec.to if spec and spec.to in self.stack.stores else ""

    def _store_url(self, store: str, port: int) -> str:
        """The URL of a store at a port of its own or of a link to it."""
        if self.stack.stores[store].kind == "postgres":
            return postgres.dsn(port, self._secret(store), self.stack.name)
        return redis.url(port, self._secret(store))

    def _store_units(self) -> list[Unit]:
        units = []
        for name, store in self.stack.stores.items():
            data, log = self.home.data / name, self.home.logs / f"{name}.log"
            if store.kind == "postgres":
                units.append(postgres.postgres_unit(name, store.version, data, self.port(name), log))
            else:
                units.append(redis.redis_unit(name, self.port(name), data, self._secret(name), log))
        return units

    def _link_units(self) -> list[Unit]:
        links = self.links()
        if not links.argv:
            return []
        return [
            Unit(
                name="links",
                argv=[*links.argv, str(self._links)],
                env={"PATH": "/usr/bin:/bin", **changes_with(self._links.read_bytes())},
                cwd=links.cwd,
                log=str(self.home.logs / "links.log"),
                order=1,
            )
        ]

    def _edge_unit(self) -> Unit:
        configuration = bootstrap(
            self.stack,
            self._edge_ports(),
            routes=str(self.routes),
            access_log=str(self.home.logs / "access.jsonl"),
        )
        return envoy.envoy_unit(configuration, self.home.envoy / "bootstrap.json", self.home.logs / "edge.log")

    def _edge_ports(self) -> EdgePorts:
        listens = {link.name: link.listen for link in self.links().links}
        endpoints: dict[str, dict[str, list[tuple[str, int]]]] = {}
        for name, service in self.stack.services.items():
            endpoints[name] = {}
            for color in COLORS:
                endpoints[name][color] = [
                    self._endpoint(name, instance, listens)
                    for instance in instance_names(name, color, service.replicas)
                ]
        return EdgePorts(
            host=HOST,
            edge=self.port("edge"),
            admin=self.port("edge-admin"),
            internal={name: self.port(f"internal-{name}") for name in self.stack.internal()},
            endpoints=endpoints,
        )

    def _endpoint(self, service: str, instance: str, listens: dict[str, str]) -> tuple[str, int]:
        """An instance behind Envoy: by the link in front of it where one is served."""
        for name, link in self.stack.links.items():
            if link.to == service and f"{name}#{instance}" in listens:
                host, _, port = listens[f"{name}#{instance}"].rpartition(":")
                return host, int(port)
        return HOST, self.port(instance)

    def _write_links(self, wanted: Links) -> None:
        """Write the table of all links that the stack has now, unless it says that already."""
        argv, links = wanted.argv, []
        for name in link_names(self.stack):
            upstream = f"{HOST}:{self.port(_upstream_name(self.stack, name))}"
            listen = f"{HOST}:{self.port(f'link:{name}')}" if argv else upstream
            links.append(LinkAddress(name=name, listen=listen, upstream=upstream))
        table = msgspec.structs.replace(wanted, links=links)
        content = msgspec.json.format(msgspec.json.encode(table), indent=1)
        if not self._links.exists() or self._links.read_bytes() != content:
            replace_file(self._links, content)


def _with_program(links: Links) -> Links:
    """The links with the whole path of the program that serves them. Raises UsageError when there is none."""
    if not links.argv:
        return links
    program, *rest = links.argv
    found = shutil.which(program)
    if found is None:
        raise UsageError(
            f"{program}, which is to serve the links, was not found",
            because="there is no such program on PATH, or it may not be executed",
            way_out="name one with --links-argv, or serve no links: holdfast up --direct-links",
        )
    return msgspec.structs.replace(links, argv=[str(Path(found).absolute()), *rest])


def _refuse_cluster_only(stack: Stack) -> None:
    if stack.cluster and stack.cluster.only:
        raise Refused(
            f"{stack.name} does not run on this machine",
            because="its YAML says `cluster: {only: true}`",
            way_out="use a stack like sparkle here, or bring this one up on a cluster",
        )


def _upstream_name(stack: Stack, link: str) -> str:
    """The port that a link leads to: an instance, a store, or the edge."""
    name, _, instance = link.partition("#")
    return instance or stack.links[name].to
