"""When an object is as it was asked to be: what `up` waits for, unless it was told not to wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SKIP = "pulumi.com/skipAwait"


def skipped(manifest: Mapping[str, Any]) -> bool:
    """Whether nobody wants to wait for it."""
    return (manifest["metadata"].get("annotations") or {}).get(SKIP) == "true"


def missing(live: Mapping[str, Any]) -> str:
    """What is still missing, in words; empty when it is ready."""
    spec, status = live.get("spec") or {}, live.get("status") or {}
    match live["kind"]:
        case "Deployment":
            behind = status.get("observedGeneration", 0) < live["metadata"]["generation"]
            wanted = spec.get("replicas", 1)
            ready = min(status.get("availableReplicas", 0), status.get("updatedReplicas", 0))
            return _count(wanted, 0 if behind else ready)
        case "StatefulSet":
            return _count(spec.get("replicas", 1), status.get("readyReplicas", 0))
        case "Job":
            return "" if status.get("succeeded") else f"not done, {status.get('failed', 0)} attempts failed"
        case "Namespace":
            return "" if status.get("phase") == "Active" else "not active"
        case _:
            return ""


def _count(wanted: int, ready: int) -> str:
    return "" if ready >= wanted else f"{ready} of {wanted} pods are ready"
