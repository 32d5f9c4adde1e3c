"""The edge: Envoy, as on one machine, in front of both colors' pods, which it finds by DNS.

Its routes are a ConfigMap that only a release writes; Envoy takes the new file by the rename that the kubelet does.
"""

from __future__ import annotations

import json
from typing import Any

import pulumi

from holdfast.infra.edge.bootstrap import EdgePorts, bootstrap
from holdfast.infra.edge.routes import route_file
from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.connections import internal_ports
from holdfast.infra.program.model import EdgePlan
from holdfast.infra.program.monitoring import SCRAPE
from holdfast.infra.program.place import Place, cluster_of
from holdfast.infra.stack import COLORS, Stack
from holdfast.infra.target import RouteTable

ADMIN = 9901
NAME = "edge"
ROUTES = "edge-routes"
ROUTE_FILE = "routes.json"


def ports(stack: Stack, plan: EdgePlan) -> dict[str, int]:
    """The edge's ports: clients', and one for each service that others call."""
    return {"http": plan.port, **{f"to-{name}": port for name, port in internal_ports(stack).items()}}


def configuration(stack: Stack, plan: EdgePlan, place: Place) -> dict[str, Any]:
    """Envoy's bootstrap: the one of one machine, with DNS names for addresses."""
    plans = cluster_of(stack).services
    endpoints: dict[str, dict[str, list[tuple[str, int]]]] = {
        name: {color: [(place.host(f"{name}-{color}"), plans[name].port)] for color in COLORS}
        for name in stack.services
    }
    anywhere = "0.0.0.0"  # noqa: S104 - in its pod
    where = EdgePorts(host=anywhere, edge=plan.port, admin=ADMIN, internal=internal_ports(stack), endpoints=endpoints)
    made = bootstrap(stack, where, routes=f"/etc/envoy/routes/{ROUTE_FILE}", access_log="/dev/stdout")
    for cluster in made["static_resources"]["clusters"]:
        cluster |= {"type": "STRICT_DNS", "dns_refresh_rate": "1s", "dns_lookup_family": "V4_ONLY"}
    return made


def manifests(name: str, stack: Stack, place: Place, table: RouteTable) -> list[m.Manifest]:
    """The edge's objects. Its Service is called `edge`."""
    plan = cluster_of(stack).edge
    assert plan is not None  # noqa: S101 - the caller looked
    labels = {"holdfast/role": "edge"}
    config = m.config_map(NAME, place, name, {"envoy.json": json.dumps(configuration(stack, plan, place), indent=1)})
    owned = {m.RELEASE_OWNS: "data"}
    routes = {ROUTE_FILE: route_file(stack, table).decode()}
    server = m.container(
        "envoy",
        plan.image,
        place,
        plan.resources,
        probe=m.http("/ready", ADMIN),
        command=plan.command,
        args=["--config-path", "/etc/envoy/config/envoy.json", "--disable-hot-restart", "--concurrency", "1"],
        ports={**ports(stack, plan), "admin": ADMIN},
        mounts={"/etc/envoy/config": "config", "/etc/envoy/routes": "routes", "/tmp": "tmp"},  # noqa: S108
        prestop_s=plan.prestop_s,
    )
    volumes = {"config": m.from_config(config), "routes": {"configMap": {"name": ROUTES}}, "tmp": m.empty()}
    grace = plan.prestop_s + int(stack.edge.timeout_s) + m.GRACE_MARGIN_S
    pod_labels = {**labels, SCRAPE: str(ADMIN)}
    template = m.pod(place, name, [server], uid=plan.uid, volumes=volumes, grace_s=grace, labels=pod_labels)
    return [
        config,
        m.thing("v1", "ConfigMap", ROUTES, place, name, annotations=owned, data=routes),
        m.deployment(NAME, place, name, template, replicas=place.count(plan.replicas), labels=labels),
        m.service(NAME, place, name, ports(stack, plan), selector=labels, kind=plan.expose),
        m.disruption_budget(NAME, place, name, labels),
    ]


class Edge(Component):
    """The edge, as the plan has it."""

    def __init__(
        self, name: str, stack: Stack, place: Place, table: RouteTable, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("holdfast:infra:Edge", name, place, manifests(name, stack, place, table), opts)
