"""A namespace with its quota and limits, closed in both directions: of a stack in a region, or of a tenant in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.model import Quota
from holdfast.infra.program.place import Place


def manifests(name: str, place: Place, quota: Quota | None, labels: Mapping[str, str]) -> list[m.Manifest]:
    """Namespace, quota, limits of containers that name none, and the policy that closes it."""
    space = m.thing("v1", "Namespace", place.namespace, place, name)
    del space["metadata"]["namespace"]
    space["metadata"]["labels"] |= {"pod-security.kubernetes.io/enforce": "restricted", **labels}
    container = {
        "type": "Container",
        "default": {"cpu": "500m", "memory": "512Mi"},
        "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
    }
    return [
        space,
        *([m.thing("v1", "ResourceQuota", name, place, name, spec={"hard": hard(quota)})] if quota else []),
        m.thing("v1", "LimitRange", name, place, name, spec={"limits": [container]}),
        m.thing("networking.k8s.io/v1", "NetworkPolicy", "closed", place, name, spec=closed()),
    ]


def hard(quota: Quota) -> dict[str, str]:
    """The quota in Kubernetes' words; limits may be twice the requests."""
    return {
        "requests.cpu": quota.cpu,
        "requests.memory": quota.memory,
        "requests.storage": quota.storage,
        "pods": str(quota.pods),
    }


def closed() -> dict[str, Any]:
    """Nothing in and nothing out, for every pod: what may be is said beside it."""
    return {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


class Tenant(Component):
    """A namespace, closed, with a quota."""

    def __init__(
        self,
        name: str,
        place: Place,
        quota: Quota | None,
        labels: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("holdfast:infra:Tenant", name, place, manifests(name, place, quota, labels), opts)
