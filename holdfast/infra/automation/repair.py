"""An `up` that was cut off: a lock whose holder is gone, and operations that were begun and never reported done.

Pulumi writes an operation down before it begins; when it is killed in between, nobody knows whether the object exists.
But an object of Kubernetes has its name before it is made: a refresh asks the API server for it, and knows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
from pulumi.automation import Stack

from holdfast.children import identify
from holdfast.errors import Refused
from holdfast.timeline import Timeline


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that was begun and never reported done."""

    op: str
    urn: str


def pending(stack: Stack) -> list[Pending]:
    """What was begun and never reported done."""
    found = (stack.export_stack().deployment or {}).get("pending_operations") or []
    return [Pending(op=entry["type"], urn=entry["resource"]["urn"]) for entry in found]


def ids(stack: Stack) -> list[tuple[str, str]]:
    """URN and id of each object whose creation was begun: the id of an object of Kubernetes is its name."""
    found = (stack.export_stack().deployment or {}).get("pending_operations") or []
    return [
        (entry["resource"]["urn"], _id(entry["resource"]))
        for entry in found
        if entry["type"] == "creating" and str(entry["resource"].get("type", "")).startswith("kubernetes:")
    ]


def release_lost_lock(stack: Stack, state: Path | None, timeline: Timeline | None) -> list[str]:
    """End locks whose holder, a process of this machine, is gone; returns their descriptions.

    Raises Refused for a lock of a process that runs, or of another machine: only a person can know whether it is lost.
    """
    locks = _locks(state, stack) if state else []
    for path, lock in locks:
        if lock.get("hostname") not in (None, os.uname().nodename):
            raise locked(stack, f"{path.name}: process {lock.get('pid')} on {lock.get('hostname')} has it")
        if identify(int(lock.get("pid") or 0)) is not None:
            raise locked(stack, f"process {lock.get('pid')} of this machine has it since {lock.get('timestamp')}")
    for path, _ in locks:
        path.unlink(missing_ok=True)
    gone = [f"process {lock.get('pid')} since {lock.get('timestamp')}" for _, lock in locks]
    if gone and timeline:
        timeline.point("pulumi.unlocked", holders=gone)
    return gone


def locked(stack: Stack, because: str) -> Refused:
    """The refusal, with the way out."""
    return Refused(
        f"the state of {stack.name} is locked",
        because=because,
        way_out="let that command end; when you know that it is gone, run the same command again with --cancel",
    )


def _locks(state: Path, stack: Stack) -> list[tuple[Path, dict[str, Any]]]:
    folder = state / ".pulumi" / "locks"
    found = [path for path in folder.rglob("*.json") if stack.name in path.parts or stack.name == path.parent.name]
    return [(path, _read(path)) for path in sorted(found)]


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _id(resource: dict[str, Any]) -> str:
    metadata = (resource.get("inputs") or {}).get("metadata") or {}
    return "/".join([*([metadata["namespace"]] if "namespace" in metadata else []), str(metadata.get("name"))])
