"""The Services by which a service is known: each leads to one color by its selector."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.errors import EnvironmentFailed
from holdfast.infra.program.colored_service import COLOR
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.cluster.api import Api, Conflict, Object

NO_COLOR = "none"
"""What a selector says of a service without a route: no pod has this color, so that nobody answers."""
TRIES = 20


def color_of(service: Object) -> str:
    """The color that a Service leads to."""
    return str(service["spec"].get("selector", {}).get(COLOR, ""))


def wanted(table: RouteTable, service: str) -> str:
    """The color that a service's selector should have."""
    return table.live(service) or NO_COLOR


def lead(api: Api, service: str, color: str) -> bool:
    """Have a Service lead to a color by one guarded write; tells whether it did not yet."""
    for _ in range(TRIES):
        before = api.get("Service", service)
        if color_of(before) == color:
            return False
        try:
            change = {"spec": {"selector": {COLOR: color}}}
            api.patch("Service", service, change, of=before["metadata"]["resourceVersion"])
            return True
        except Conflict:
            continue
    raise EnvironmentFailed(
        f"the selector of Service {service} could not be written",
        because=f"somebody else changed the Service {TRIES} times meanwhile",
        way_out="end the other operator, then `holdfast resume`",
    )


def drift(api: Api, services: Iterable[str], table: RouteTable) -> list[str]:
    """Selectors that somebody changed beside a release."""
    seen = {service: color_of(api.get("Service", service)) for service in services if service in table.weights}
    return [
        f"Service {service}: its selector leads to {color or 'any color'}, not {wanted(table, service)}"
        for service, color in seen.items()
        if color != wanted(table, service)
    ]


def settled(api: Api, service: str, color: str) -> bool:
    """Whether the endpoints of a Service are pods of this color alone, as far as the control plane has come."""
    slices = api.list("EndpointSlice", {"kubernetes.io/service-name": service})
    pods = {
        endpoint["targetRef"]["name"]
        for piece in slices
        for endpoint in piece.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready") and endpoint.get("targetRef")
    }
    return bool(pods) and all(f"{service}-{color}-" in f"{pod}-" for pod in pods)
