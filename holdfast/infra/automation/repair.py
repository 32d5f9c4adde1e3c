"""An `up` that was cut off: a lock whose holder is gone, and operations that were begun and never reported done.

Pulumi writes an operation down before it begins; when it is killed in between, nobody knows whether the object exists.
But an object of Kubernetes has its name before it is made: a refresh asks the API server for it, and knows.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
from pulumi.automation import Stack

from holdfast.children import Identity, end, identify
from holdfast.errors import Refused
from holdfast.infra.automation.command import GRACE_S, orphan
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
    """End locks whose holder, a process of this machine, is gone; returns what was done.

    A holder that runs on although its command was killed is ended first. Raises Refused for a lock of a command that
    runs, or of another machine: only a person can know whether it is lost.
    """
    locks = _locks(state, stack) if state else []
    gone = [_gone(stack, path, lock) for path, lock in locks]
    for path, _ in locks:
        path.unlink(missing_ok=True)
    if gone and timeline:
        timeline.point("pulumi.unlocked", holders=gone)
    return gone


def _gone(stack: Stack, path: Path, lock: dict[str, Any]) -> str:
    """Be sure that a lock's holder is gone, and say who it was."""
    pid, since = int(lock.get("pid") or 0), lock.get("timestamp")
    if lock.get("hostname") not in (None, os.uname().nodename):
        raise locked(stack, f"{path.name}: process {pid} on {lock.get('hostname')} has it")
    holder = identify(pid)
    if holder is None:
        return f"process {pid} since {since}, which is gone"
    if not orphan(holder):
        raise locked(stack, f"process {pid} of this machine has it since {since}")
    return _end_orphan(holder, str(since))


def _end_orphan(holder: Identity, since: str) -> str:
    ended = end(holder, grace=GRACE_S, number=signal.SIGINT)
    return f"process {holder.pid} since {since}, whose command was killed, {'ended' if ended else 'was killed'}"


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
