"""Istio's resources: strict mTLS, a subset for each color, routes by weight, and who may call whom."""

from __future__ import annotations

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Istio as Plan
from holdfast.infra.stack import COLORS

NETWORKING = "networking.istio.io/v1"
SECURITY = "security.istio.io/v1"


def manifests(name: str, plan: Plan, place: Place, callers: dict[str, list[str]]) -> list[m.Manifest]:
    """The resources. `callers`: service → the parts that may call it."""
    strict = m.thing(SECURITY, "PeerAuthentication", name, place, name, spec={"mtls": {"mode": "STRICT"}})
    closed = m.thing(SECURITY, "AuthorizationPolicy", f"{name}-closed", place, name, spec={})
    each = [made for service in plan.services for made in _service(service, name, plan, place, callers[service])]
    return [strict, closed, *each]


def _service(service: str, name: str, plan: Plan, place: Place, callers: list[str]) -> list[m.Manifest]:
    host = place.host(f"{service}-all")
    rule = {
        "host": host,
        "trafficPolicy": {
            "tls": {"mode": "ISTIO_MUTUAL"},
            "loadBalancer": {"simple": "LEAST_REQUEST"},
            "outlierDetection": {
                "consecutive5xxErrors": plan.outlier_failures,
                "interval": "1s",
                "baseEjectionTime": f"{plan.outlier_s}s",
                "maxEjectionPercent": 50,
            },
        },
        "subsets": [{"name": color, "labels": {"holdfast/color": color}} for color in COLORS],
    }
    route = {
        "hosts": [host],
        "http": [
            {
                "route": [
                    {"destination": {"host": host, "subset": color}, "weight": weight}
                    for color, weight in zip(COLORS, (100, 0), strict=True)
                ],
                "retries": {"attempts": plan.retries, "retryOn": "connect-failure,refused-stream"},
            }
        ],
    }
    allowed = [f"cluster.local/ns/{place.namespace}/sa/{caller}" for caller in callers]
    policy = {
        "selector": {"matchLabels": place.selector(service)},
        "action": "ALLOW",
        "rules": [{"from": [{"source": {"principals": allowed}}]}] if allowed else [],
    }
    owned = {m.RELEASE_OWNS: "spec.http"}
    return [
        m.thing(NETWORKING, "DestinationRule", service, place, name, spec=rule),
        m.thing(NETWORKING, "VirtualService", service, place, name, spec=route, annotations=owned),
        m.thing(SECURITY, "AuthorizationPolicy", service, place, name, spec=policy),
    ]


class Istio(Component):
    """Istio's resources of a stack."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        place: Place,
        callers: dict[str, list[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("holdfast:infra:Istio", name, place, manifests(name, plan, place, callers), opts)
