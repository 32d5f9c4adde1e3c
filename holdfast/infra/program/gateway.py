"""What Kong and APISIX have in common: pods with one immutable file of routes, behind one Service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.infra.program import manifest as m
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Apisix, Kong


def gateway(
    name: str,
    plan: Kong | Apisix,
    place: Place,
    server: Mapping[str, Any],
    ports: Mapping[str, int],
    volumes: Mapping[str, Mapping[str, Any]],
) -> list[m.Manifest]:
    """Deployment, Service and budget of an API gateway; it ends slowly, as everything that holds connections."""
    labels = {"holdfast/role": "gateway"}
    template = m.pod(place, name, [server], uid=plan.uid, volumes=volumes, grace_s=60, labels=labels)
    return [
        m.deployment(name, place, name, template, replicas=place.count(plan.replicas), labels=labels),
        m.service(name, place, name, ports, selector=labels),
        m.disruption_budget(name, place, name, labels),
    ]
