"""A set of equal nodes with volumes: names for each, one Service for all, and a budget. Most stores are that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.infra.program import manifest as m
from holdfast.infra.program.place import Place


def nodes(
    name: str,
    place: Place,
    containers: Sequence[Mapping[str, Any]],
    ports: Mapping[str, int],
    *,
    uid: int,
    replicas: int,
    claims: Mapping[str, str],
    volumes: Mapping[str, Mapping[str, Any]] | None = None,
    init: Sequence[Mapping[str, Any]] = (),
    inside: Mapping[str, int] | None = None,
    role: str = "node",
    set_name: str = "",
    grace_s: int = 60,
) -> list[m.Manifest]:
    """Headless Service, StatefulSet, Service and budget. `inside`: ports that only the nodes themselves use."""
    labels, full = {"holdfast/role": role}, set_name or name
    template = m.pod(place, name, containers, uid=uid, init=init, volumes=volumes, grace_s=grace_s, labels=labels)
    governing = f"{full}-nodes"
    return [
        m.service(governing, place, name, {**ports, **(inside or {})}, selector=labels, headless=True, unready=True),
        m.stateful_set(
            full,
            place,
            name,
            template,
            replicas=replicas,
            governing=governing,
            claims=claims,
            labels=labels,
            together=True,
        ),
        m.service(full, place, name, ports, selector=labels),
        m.disruption_budget(full, place, name, labels),
    ]
