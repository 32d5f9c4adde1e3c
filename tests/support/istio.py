"""Istio's kinds as bare definitions, so that an API server without Istio takes its objects."""

from __future__ import annotations

from typing import Any

KINDS = {
    "networking.istio.io": ("DestinationRule", "VirtualService"),
    "security.istio.io": ("AuthorizationPolicy", "PeerAuthentication"),
}


def _definition(group: str, kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()[:-1]}ies" if kind.endswith("y") else f"{kind.lower()}s"
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


DEFINITIONS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [_definition(group, kind) for group, kinds in KINDS.items() for kind in kinds],
}
