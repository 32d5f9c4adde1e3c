"""How checks look at an object: its name for messages, its pod template, its containers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Manifest = Mapping[str, Any]


def title(manifest: Manifest) -> str:
    """`namespace/Kind/name`."""
    metadata = manifest.get("metadata") or {}
    return "/".join([metadata.get("namespace") or "cluster", str(manifest.get("kind")), str(metadata.get("name"))])


def pod_spec(manifest: Manifest) -> Mapping[str, Any] | None:
    """The pod's spec of a workload, wherever its kind keeps it; None when the object runs nothing."""
    spec: Any = manifest.get("spec") or {}
    match manifest.get("kind"):
        case "Pod":
            found = spec
        case "CronJob":
            found = spec["jobTemplate"]["spec"]["template"]["spec"]
        case "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job":
            found = spec["template"]["spec"]
        case _:
            return None
    return dict(found)


def containers(manifest: Manifest, *, init: bool = True) -> Iterator[Mapping[str, Any]]:
    """The containers of a workload, those that run before the others too."""
    spec = pod_spec(manifest) or {}
    yield from spec.get("containers") or []
    if init:
        yield from spec.get("initContainers") or []


def serves(manifest: Manifest) -> bool:
    """Whether its containers go on for ever, as opposed to a Job's."""
    return manifest.get("kind") in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
