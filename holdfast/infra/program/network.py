"""Who may talk to whom: a policy a part, made of the stack's links. A namespace is closed; this opens what is named."""

from __future__ import annotations

from typing import Any

import pulumi

from holdfast.infra.program import colored_service, edge, plans
from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.connections import internal_ports
from holdfast.infra.program.parts import part_ports
from holdfast.infra.program.place import Place, cluster_of
from holdfast.infra.stack import Stack

DNS = {
    "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
    "ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")],
}
ANYWHERE = "0.0.0.0/0"

Flows = dict[tuple[str, str], set[int]]
"""(from, to) → ports. `client` is the world."""


def flows(stack: Stack) -> Flows:
    """Every path that the stack's links, edge, gateways, monitoring and sandboxes need."""
    cluster = cluster_of(stack)
    found: Flows = {}
    for link in stack.links.values():
        _add(found, link.source, *_end(stack, link.to))
    if cluster.edge:
        for name in sorted({stack.edge.service, *internal_ports(stack)}):
            _add(found, edge.NAME, name, {cluster.services[name].port})
    for name, part in cluster.parts.items():
        for to, ports in _reached_by(part, stack).items():
            _add(found, name, to, ports)
    for name, sandbox in cluster.sandboxes.items():
        for client in sandbox.clients:
            _add(found, client, name, {sandbox.port})
    return found


def _reached_by(part: plans.AnyPart, stack: Stack) -> dict[str, set[int]]:
    """What a gateway leads to, and what monitoring reads."""
    services = cluster_of(stack).services
    match part:
        case plans.Kong() | plans.Apisix():
            return {route.service: {services[route.service].port} for route in part.routes.values()}
        case plans.Monitoring():
            return _metrics(stack)
        case _:
            return {}


def manifests(name: str, stack: Stack, place: Place) -> list[m.Manifest]:
    """A policy for every part that has pods."""
    cluster = cluster_of(stack)
    opened = flows(stack)
    pods = [*stack.services, *(part for part, plan in cluster.parts.items() if has_pods(plan))]
    if cluster.edge:
        pods.append(edge.NAME)
    made = [_policy(part, opened, place) for part in pods]
    return [*made, *([_policy("drills", {("drills", "world"): set()}, place)] if cluster.drills else [])]


def has_pods(part: plans.AnyPart) -> bool:
    """Whether pods of a part run here."""
    outside = isinstance(part, plans.Postgres) and part.mode == "external"
    return not outside and not isinstance(part, plans.Istio)


def _policy(part: str, opened: Flows, place: Place) -> m.Manifest:
    """In and out of one part; its own pods may talk to each other."""
    me = {"podSelector": {"matchLabels": place.selector(part)}}
    ins = [_rule("from", source, ports, place) for (source, to), ports in opened.items() if to == part]
    outs = [_rule("to", to, ports, place) for (source, to), ports in opened.items() if source == part]
    far = [{"to": [{"ipBlock": {"cidr": ANYWHERE}}]}] if part in place.follows else []
    spec = {
        "podSelector": me["podSelector"],
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [me]}, *ins],
        "egress": [DNS, {"to": [me]}, *outs, *far],
    }
    return m.thing("networking.k8s.io/v1", "NetworkPolicy", part, place, part, spec=spec)


def _rule(way: str, other: str, ports: set[int], place: Place) -> dict[str, Any]:
    if other in ("client", "world"):
        end: dict[str, Any] = {"ipBlock": {"cidr": ANYWHERE}}
    else:
        end = {"podSelector": {"matchLabels": place.selector(other)}}
    listed = [{"port": port, "protocol": "TCP"} for port in sorted(ports)]
    return {way: [end], **({"ports": listed} if listed else {})}


def _end(stack: Stack, end: str) -> tuple[str, set[int]]:
    """Which pods a link leads to, and their ports: the edge's where calls between services go through it."""
    cluster = cluster_of(stack)
    if end == "edge":
        if cluster.edge:
            return edge.NAME, {cluster.edge.port}
        return stack.edge.service, {cluster.services[stack.edge.service].port}
    if end in cluster.parts:
        part = cluster.parts[end]
        if not has_pods(part):
            return "world", set(part_ports(part).values())
        return end, set(part_ports(part).values())
    if cluster.edge and end in internal_ports(stack):
        return edge.NAME, {internal_ports(stack)[end]}
    return end, {cluster.services[end].port}


def _metrics(stack: Stack) -> dict[str, set[int]]:
    """Where Prometheus reads."""
    cluster = cluster_of(stack)
    found = {
        name: set(colored_service.ports(stack.services[name], plan).values()) for name, plan in cluster.services.items()
    }
    return {**found, **({edge.NAME: {edge.ADMIN}} if cluster.edge else {})}


def _add(found: Flows, source: str, to: str, ports: set[int]) -> None:
    found.setdefault((source, to), set()).update(ports)


class Network(Component):
    """The policies of a stack."""

    def __init__(self, name: str, stack: Stack, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:Network", name, place, manifests(name, stack, place), opts)
