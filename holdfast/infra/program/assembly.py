"""What a stack's environment is made of, in order: pieces that are manifests to look at, or components to register.

Pure until `register`: the same pieces give the golden files, the policy checks, a plain list of manifests, and Pulumi's
program. Namespaces first, then policies, parts, services, the edge, and what watches them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pulumi

from holdfast.content import content_root
from holdfast.infra.program import (
    colored_service,
    drills,
    edge,
    network,
    plans,
    sandbox,
    tenant,
)
from holdfast.infra.program.component import Component
from holdfast.infra.program.connections import Connections
from holdfast.infra.program.desired import Desired
from holdfast.infra.program.manifest import Manifest, Sealed
from holdfast.infra.program.model import EnvironmentName, RegionName
from holdfast.infra.program.parts import PARTS
from holdfast.infra.program.place import Place, cluster_of, environment_of, place_of
from holdfast.infra.stack import Stack


class Piece(NamedTuple):
    """One component: its class, the pure function behind it, its name and what both take."""

    component: type[Component]
    build: Callable[..., list[Manifest]]
    name: str
    args: tuple[Any, ...]

    def manifests(self) -> list[Manifest]:
        """The objects of the piece."""
        return self.build(self.name, *self.args)

    def register(self, opts: pulumi.ResourceOptions) -> Component:
        """Register it with Pulumi."""
        make: Callable[..., Component] = self.component
        return make(self.name, *self.args, opts=opts)


def pieces(
    stack: Stack, environment: EnvironmentName, region: RegionName, desired: Desired, *, wait: bool = True
) -> Iterator[Piece]:
    """All pieces of a stack's environment in one region."""
    cluster, place = cluster_of(stack), place_of(stack, environment, region, wait=wait)
    connections = Connections(stack=stack, place=place)
    yield _namespace("namespace", stack, place, environment_of(stack, environment).quota)
    yield Piece(network.Network, network.manifests, "network", (stack, place))
    for name, part in cluster.parts.items():
        module, component = PARTS[type(part)]
        yield Piece(component, module.manifests, name, (part, place, *_more(part, stack)))
    for name in stack.services:
        args = (stack, place, desired, connections)
        yield Piece(colored_service.ColoredService, colored_service.manifests, name, args)
    if cluster.edge:
        yield Piece(edge.Edge, edge.manifests, edge.NAME, (stack, place, desired.table))
    for name, plan in cluster.sandboxes.items():
        yield Piece(sandbox.Sandbox, sandbox.manifests, name, (plan, place, place))
    for name, plan_of_tenant in cluster.tenants.items():
        own = place_of(stack, environment, region, wait=wait, tenant=name)
        yield _namespace(f"tenant-{name}", stack, own, plan_of_tenant.quota)
        for plugin in plan_of_tenant.sandboxes:
            yield Piece(sandbox.Sandbox, sandbox.manifests, plugin, (cluster.sandboxes[plugin], own, place))
    if cluster.drills:
        yield Piece(drills.Drills, drills.manifests, "drills", (cluster.drills, place))


def manifests(
    stack: Stack, environment: EnvironmentName, desired: Desired, *, wait: bool = True
) -> dict[RegionName, list[Manifest]]:
    """All objects of a stack's environment, region by region."""
    regions = environment_of(stack, environment).regions
    return {
        region: [made for piece in pieces(stack, environment, region, desired, wait=wait) for made in piece.manifests()]
        for region in regions
    }


def sealed_names(made: Mapping[RegionName, list[Manifest]]) -> list[str]:
    """The secrets that these objects need, by their names in the stack's configuration."""
    return sorted({found.key for listed in made.values() for found in _sealed(listed)})


def _sealed(value: Any) -> Iterator[Sealed]:
    match value:
        case Sealed():
            yield value
        case dict():
            for entry in value.values():
                yield from _sealed(entry)
        case list() | tuple():
            for entry in value:
                yield from _sealed(entry)


def _namespace(name: str, stack: Stack, place: Place, quota: Any) -> Piece:
    mesh = any(isinstance(part, plans.Istio) for part in cluster_of(stack).parts.values())
    labels = {"istio-injection": "enabled"} if mesh else {}
    return Piece(tenant.Tenant, tenant.manifests, name, (place, quota, labels))


def _more(part: plans.AnyPart, stack: Stack) -> tuple[Any, ...]:
    """What some kinds of parts have to know beside their plan and their place."""
    match part:
        case plans.Kong() | plans.Apisix():
            return ({name: plan.port for name, plan in cluster_of(stack).services.items()},)
        case plans.Istio():
            return ({service: _callers(service, stack) for service in part.services},)
        case plans.Monitoring():
            return (_rules(),)
        case _:
            return ()


def _callers(service: str, stack: Stack) -> list[str]:
    gateways = [
        name
        for name, part in cluster_of(stack).parts.items()
        if isinstance(part, plans.Kong | plans.Apisix)
        and any(route.service == service for route in part.routes.values())
    ]
    return sorted({*gateways, *(caller for caller in stack.callers_of(service) if caller in stack.services)})


def _rules() -> dict[str, str]:
    """Prometheus rules of the dashboards folder; a file that says that there are none where it has none."""
    folder = content_root() / "dashboards" / "generated"
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*rules*.yaml"))}
    return found or {"none.yaml": "groups: []\n"}
