"""Plugin sandboxes: gRPC, half a core and 256 MiB, a read-only root, no network but an allow-list."""

from __future__ import annotations

from typing import Any

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.model import Sandbox as Plan
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Resources


def manifests(name: str, plan: Plan, place: Place, home: Place) -> list[m.Manifest]:
    """The objects of a sandbox. `home` is where its clients run: the stack's own namespace."""
    labels = {"holdfast/role": "sandbox"}
    server = m.container(
        name,
        plan.image,
        place,
        Resources(cpu=plan.cpu, memory=plan.memory),
        probe={"grpc": {"port": plan.port}},
        command=plan.command,
        ports={"grpc": plan.port},
        mounts={"/tmp": "tmp"},  # noqa: S108
    )
    template = m.pod(place, name, [server], uid=plan.uid, volumes={"tmp": m.empty()}, grace_s=60, labels=labels)
    return [
        m.deployment(name, place, name, template, replicas=place.count(plan.replicas), labels=labels),
        m.service(name, place, name, {"grpc": plan.port}, selector=labels),
        m.disruption_budget(name, place, name, labels),
        m.thing("networking.k8s.io/v1", "NetworkPolicy", name, place, name, spec=network(name, plan, place, home)),
    ]


def network(name: str, plan: Plan, place: Place, home: Place) -> dict[str, Any]:
    """In: its clients, to its port. Out: the allow-list, not even DNS."""
    space = {"matchLabels": {"kubernetes.io/metadata.name": home.namespace}}
    clients = [
        {"namespaceSelector": space, "podSelector": {"matchLabels": home.selector(client)}} for client in plan.clients
    ]
    port = [{"port": plan.port, "protocol": "TCP"}]
    opened = {
        "ingress": [{"from": clients, "ports": port}] if clients else [],
        "egress": [_allowed(entry) for entry in plan.allow],
    }
    return {
        "podSelector": {"matchLabels": place.selector(name)},
        "policyTypes": ["Ingress", "Egress"],
        **{way: rules for way, rules in opened.items() if rules},
    }


def _allowed(entry: str) -> dict[str, Any]:
    block, _, port = entry.rpartition(":")
    return {"to": [{"ipBlock": {"cidr": block}}], "ports": [{"port": int(port), "protocol": "TCP"}]}


class Sandbox(Component):
    """A plugin, contained."""

    def __init__(
        self, name: str, plan: Plan, place: Place, home: Place, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("holdfast:infra:Sandbox", name, place, manifests(name, plan, place, home), opts)
