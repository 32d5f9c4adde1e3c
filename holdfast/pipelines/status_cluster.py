"""What `holdfast status` shows of a stack on a cluster: read from the cluster, and the home's journal beside it."""

from __future__ import annotations

from holdfast.errors import HoldfastError
from holdfast.infra.bluegreen.lock import open_elsewhere
from holdfast.infra.program.desired import Colors
from holdfast.infra.stack import COLORS
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.cluster import colors, pods
from holdfast.infra.targets.cluster.api import Object
from holdfast.infra.targets.cluster.target import ClusterTarget
from holdfast.pipelines.status import (
    ColorStatus,
    ServiceStatus,
    StackStatus,
    UnitStatus,
    operation_status,
    restore_status,
)


def cluster_status(target: ClusterTarget) -> StackStatus:
    """Look at a stack on a cluster; it changes nothing."""
    up = target.is_up()
    routes, kept = target.live(), colors.read(target.api)
    operation, restore, trouble, edge_url = None, "", [], ""
    try:
        edge_url = target.edge_url() if up else ""
        trouble += [f"changed by hand: {found}" for found in (target.drift() if up else [])]
    except HoldfastError as error:
        trouble.append(str(error))
    if elsewhere := open_elsewhere(target):
        trouble.append(f"an operation is open elsewhere: {elsewhere}")
    try:
        operation = operation_status(target, runs=up)
        restore = restore_status(target.home)
    except HoldfastError as error:
        trouble.append(str(error))
    return StackStatus(
        stack=target.stack.name,
        up=up,
        edge_url=edge_url,
        services=[_service(target, name, routes, kept) for name in target.stack.services if routes.live(name)],
        units=[_unit(pod) for pod in target.api.list("Pod")],
        operation=operation,
        restore=restore,
        trouble="\n".join(trouble),
    )


def _service(target: ClusterTarget, name: str, routes: RouteTable, kept: Colors) -> ServiceStatus:
    found = []
    for color in COLORS:
        state, weight = kept.get(name, {}).get(color), routes.weights.get(name, {}).get(color, 0)
        running = [pod for pod in pods.of_color(target.api, target.place, name, color) if pods.is_running(pod)]
        found.append(
            ColorStatus(
                color=color,
                version=state.version if state and (running or weight) else "",
                weight=weight,
                running=len(running),
                size=target.size_of(name, color) if state else 0,
                held_until=target.held_until({name: color}),
            )
        )
    return ServiceStatus(name=name, colors=found)


def _unit(pod: Object) -> UnitStatus:
    last = [
        found["lastState"]["terminated"]["exitCode"]
        for found in pod["status"].get("containerStatuses") or []
        if "terminated" in found.get("lastState", {})
    ]
    return UnitStatus(
        name=pods.name(pod),
        alive=pods.is_running(pod),
        pid=0,
        restarts=pods.restarts(pod),
        last_exit=last[-1] if last else None,
        trouble=pods.trouble(pod),
    )
