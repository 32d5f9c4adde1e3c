"""Weights of an HTTPRoute: the switch of a stack whose clients come in by a Gateway of the Gateway API.

One HTTPRoute leads to both colors of the stack's first service by weight, and a rule before it leads requests with the
preview header to the previewed color. The calls between services follow their Services' selectors, which know no
shares: they move when a color has more than half. The route table is written first, as with selectors.

A rule that should lead to nobody has no backends, which the Gateway API answers with 500. A rule of nothing but zero
weights would say the same, and has been seen to make a proxy refuse its whole configuration.

https://gateway-api.sigs.k8s.io/reference/spec/: HTTPRouteRule, HTTPBackendRef, RouteParentStatus.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.errors import EnvironmentFailed
from holdfast.infra.edge.routes import COLOR_HEADER, PREVIEW, PREVIEW_HEADER
from holdfast.infra.probes import http_get
from holdfast.infra.program.place import Place, cluster_of
from holdfast.infra.stack import COLORS, Stack
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.cluster import selectors, table
from holdfast.infra.targets.cluster.api import Api, Conflict, NotFound, Object

GROUP = "gateway.networking.k8s.io"
NAME = "edge"
"""The HTTPRoute's name: no edge of ours is beside it."""
TOKEN = "holdfast/token"  # noqa: S105 - the annotation's name
"""Annotation: the fencing token under which the route was written."""
TRIES = 20


@dataclass(frozen=True)
class GatewayWeights:
    """The switch of a stack behind a Gateway."""

    api: Api
    stack: Stack
    place: Place
    shares = True

    def write(self, routes: RouteTable) -> int:
        """Put a table in force: the users' HTTPRoute first, then the Services. Returns when that began."""
        table.write(self.api, self.stack, self.place, routes)
        written = time.monotonic_ns()
        self._write_route(routes)
        for service in self.stack.services:
            selectors.lead(self.api, service, selectors.wanted(routes, service))
        return written

    def in_force(self, routes: RouteTable) -> bool:
        """Whether every parent has taken the HTTPRoute of this table, and every Service leads to its color alone."""
        route = self.api.find("HTTPRoute", NAME)
        return (
            route is not None
            and not self._drift(route, routes)
            and not untaken(route, *gateway_of(self.stack, self.place))
            and not selectors.drift(self.api, self.stack.services, routes)
            and all(
                selectors.settled(self.api, service, color)
                for service in routes.weights
                if (color := routes.live(service))
            )
        )

    def unseen(self, service: str, color: str, hosts: Collection[str]) -> str:
        """Why a Gateway could not yet lead to all pods of a color: the endpoints that it reads are not there."""
        slices = self.api.list("EndpointSlice", {"kubernetes.io/service-name": f"{service}-{color}"})
        ready = {address for piece in slices for address in _ready(piece)}
        return "" if ready >= set(hosts) else f"Service {service}-{color} has {len(ready)} of its {len(hosts)} pods"

    def drift(self) -> list[str]:
        """What somebody changed beside a release."""
        routes = table.read(self.api)
        found = self.api.find("HTTPRoute", NAME)
        if found is None:
            route = [f"HTTPRoute {NAME}: it is not there"] if routes.weights else []
        else:
            route = self._drift(found, routes)
        return [*route, *selectors.drift(self.api, self.stack.services, routes)]

    def address(self) -> tuple[str, int]:
        """Where clients send requests: the Gateway's address and the port of its HTTP listener."""
        return address_of(self._gateway())

    def color(self) -> str:
        """The color that answers one request on a connection of its own, as the service says in a header.

        Of one that does not say, the weights tell which color it must have been, while all of them are on one.
        """
        answer = http_get(*self.address(), self.stack.release.health.path)
        if not 0 < answer.status < 500:
            return ""
        if said := answer.headers.get(COLOR_HEADER):
            return said
        routes = table.read(self.api)
        leads = routes.weights.get(self.stack.edge.service, {})
        alone = [color for color, weight in leads.items() if weight > 0]
        return alone[0] if len(alone) == 1 and self.in_force(routes) else ""

    def preview(self, pod: str) -> str:
        """Where an idle color is reached: at the Gateway, by the preview header."""
        host, port = self.address()
        return f"http://{host}:{port}"

    def answers(self, service: str, color: str) -> tuple[int, int] | None:
        """Nobody counts them here: the Gateway API has no counters."""
        return None

    def _write_route(self, routes: RouteTable) -> None:
        """Write the HTTPRoute by one guarded write, unless a newer operation has written it."""
        wanted = http_route(self.stack, self.place, routes)
        for _ in range(TRIES):
            before = self._find_route()
            try:
                if before is None:
                    self.api.create(wanted)
                    return
                table.refuse_stale(routes.token, RouteTable(token=_token(before)))
                if before["spec"] != wanted["spec"] or _token(before) != routes.token:
                    self.api.replace(rewritten(before, wanted))
                return
            except Conflict:
                continue
        raise EnvironmentFailed(
            f"the HTTPRoute {NAME} could not be written",
            because=f"somebody else changed it {TRIES} times meanwhile",
            way_out="end the other operator, then `holdfast resume`",
        )

    def _find_route(self) -> Object | None:
        """The HTTPRoute, if there is one. Raises EnvironmentFailed where there cannot be one."""
        try:
            return self.api.get("HTTPRoute", NAME)
        except NotFound:
            self._gateway()  # raises where the whole kind is unknown, or nothing would take the route
            return None

    def _gateway(self) -> Object:
        """The Gateway. Raises EnvironmentFailed when there is none."""
        space, name = gateway_of(self.stack, self.place)
        try:
            found: Object = json.loads(self.api.text(f"/apis/{GROUP}/v1/namespaces/{space}/gateways/{name}"))
        except NotFound as error:
            raise EnvironmentFailed(
                f"there is no Gateway {name} in the namespace {space}",
                because=error.because,
                way_out="install the Gateway API and an implementation, and make that Gateway; or name another one "
                f"under cluster.gateway in the YAML of {self.stack.name}",
            ) from error
        return found

    def _drift(self, found: Object, routes: RouteTable) -> list[str]:
        wanted = http_route(self.stack, self.place, routes)
        return [f"HTTPRoute {NAME}: {said}" for said in differences(wanted["spec"], found["spec"], "")]


# -- what is written: pure -----------------------------------------------------------------------------------------


def gateway_of(stack: Stack, place: Place) -> tuple[str, str]:
    """Namespace and name of the stack's Gateway."""
    space, _, name = cluster_of(stack).gateway.rpartition("/")
    return space or place.namespace, name


def http_route(stack: Stack, place: Place, routes: RouteTable) -> Object:
    """The HTTPRoute of a table. What the API server would fill in is written out, so that a difference is a change."""
    space, name = gateway_of(stack, place)
    service = stack.edge.service
    previewed = routes.preview.get(service)
    header = {"type": "Exact", "name": PREVIEW_HEADER, "value": PREVIEW}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": NAME,
            "namespace": place.namespace,
            "labels": place.labels(service),
            "annotations": {TOKEN: str(routes.token)},
        },
        "spec": {
            "parentRefs": [{"group": GROUP, "kind": "Gateway", "namespace": space, "name": name}],
            "rules": [
                _rule(stack, {previewed: 100} if previewed else {}, [header]),
                _rule(stack, routes.weights.get(service, {}), []),
            ],
        },
    }


def rewritten(before: Object, wanted: Object) -> Object:
    """The object that was read, with the wanted spec and token; what others noted on it stays."""
    notes = {**before["metadata"].get("annotations", {}), **wanted["metadata"]["annotations"]}
    labels = {**before["metadata"].get("labels", {}), **wanted["metadata"]["labels"]}
    return {
        **before,
        "kind": wanted["kind"],
        "metadata": {**before["metadata"], "annotations": notes, "labels": labels},
        "spec": wanted["spec"],
    }


def _rule(stack: Stack, weights: dict[str, int], headers: list[dict[str, str]]) -> dict[str, Any]:
    match = {"path": {"type": "PathPrefix", "value": "/"}, **({"headers": headers} if headers else {})}
    port = cluster_of(stack).services[stack.edge.service].port
    backends = [
        {
            "group": "",
            "kind": "Service",
            "name": f"{stack.edge.service}-{color}",
            "port": port,
            "weight": weights.get(color, 0),
        }
        for color in COLORS
    ]
    return {"matches": [match], **({"backendRefs": backends} if any(weights.values()) else {})}


# -- what is read: pure --------------------------------------------------------------------------------------------


def untaken(route: Object, space: str, name: str) -> str:
    """Why a route is not in force, by its status; empty when every parent, the Gateway among them, has taken it."""
    parents = route.get("status", {}).get("parents") or []
    if not any(_is(parent["parentRef"], route, space, name) for parent in parents):
        return f"the Gateway {space}/{name} has not said anything of it"
    generation = route["metadata"]["generation"]
    for parent in parents:
        said = {found["type"]: found for found in parent.get("conditions") or []}
        for wanted in ("Accepted", "ResolvedRefs"):
            found = said.get(wanted)
            if found is None or found.get("observedGeneration") != generation:
                return f"{parent['parentRef']['name']} has not said {wanted} of generation {generation}"
            if found["status"] != "True":
                return f"{parent['parentRef']['name']}: {found.get('reason', wanted)}: {found.get('message', '')}"
    return ""


def _is(ref: Object, route: Object, space: str, name: str) -> bool:
    return (ref.get("namespace") or route["metadata"]["namespace"], ref["name"]) == (space, name)


def differences(wanted: Any, found: Any, where: str) -> Iterator[str]:
    """What of a found value is not as wanted, by its path."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in {**wanted, **found}:
            path = f"{where}.{key}" if where else key
            if key not in found:
                yield f"{path} is missing"
            elif key not in wanted:
                yield f"{path} was added"
            else:
                yield from differences(wanted[key], found[key], path)
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(one, other, f"{where}[{number}]")
    elif isinstance(wanted, list) and isinstance(found, list):
        yield f"{where} has {len(found)} entries, not {len(wanted)}"
    elif wanted != found:
        yield f"{where} is {found}, not {wanted}"


def address_of(gateway: Object) -> tuple[str, int]:
    """Host and port by which a Gateway is reached over HTTP. Raises EnvironmentFailed while it has no address."""
    name = gateway["metadata"]["name"]
    addresses = gateway.get("status", {}).get("addresses") or []
    ports = [int(one["port"]) for one in gateway["spec"]["listeners"] if one["protocol"] == "HTTP"]
    if not addresses or not ports:
        missing = "address in its status" if not addresses else "listener of the protocol HTTP"
        raise EnvironmentFailed(
            f"the Gateway {name} cannot be reached",
            because=f"it has no {missing}",
            way_out=f"see kubectl -n {gateway['metadata']['namespace']} describe gateway {name}",
        )
    return str(addresses[0]["value"]), ports[0]


def _token(route: Object) -> int:
    text = route["metadata"].get("annotations", {}).get(TOKEN, "0")
    return int(text) if text.isdecimal() else 0


def _ready(piece: Object) -> Iterator[str]:
    for endpoint in piece.get("endpoints") or []:
        if endpoint.get("conditions", {}).get("ready"):
            yield endpoint["addresses"][0]
