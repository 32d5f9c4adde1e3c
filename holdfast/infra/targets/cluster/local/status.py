"""What runs, and whether it serves."""

from __future__ import annotations

from typing import Literal

import msgspec

from holdfast.infra.targets.cluster.local import api, state
from holdfast.infra.targets.cluster.local.layout import API_URL, Layout


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A component, named for certain by pid and start time (clock ticks since boot)."""

    name: str
    pid: int
    started: int
    alive: bool


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`up`: everything runs and serves; `partial`: something does not; `down`: there is no cluster."""

    state: Literal["up", "partial", "down"]
    api_ready: bool = False
    node_ready: bool = False
    metrics_ready: bool = False
    server: str = ""
    kubeconfig: str = ""
    logs: str = ""
    processes: list[Process] = []


def status(layout: Layout) -> Status:
    """Look at the processes and ask the API server."""
    current = state.load(layout)
    if current is None or not current.alive():
        return Status(state="partial" if state.processes(layout) else "down")
    named = {"init": current.init, **current.components}
    processes = [
        Process(name=name, pid=identity.pid, started=identity.started, alive=identity.alive())
        for name, identity in named.items()
    ]
    ready = api.api_is_ready(layout)
    node = ready and api.has_condition(layout, api.NODE_PATH, "Ready")
    whole = current.complete and ready and node and all(process.alive for process in processes)
    return Status(
        state="up" if whole else "partial",
        api_ready=ready,
        node_ready=node,
        metrics_ready=ready and api.has_condition(layout, api.METRICS_PATH, "Available"),
        server=API_URL,
        kubeconfig=str(layout.kubeconfig),
        logs=str(layout.logs),
        processes=processes,
    )


def as_text(found: Status) -> str:
    """For a person."""
    if not found.processes:
        return f"cluster: {found.state}"
    lines = [
        f"cluster: {found.state} · {found.server}",
        f"ready: api {_word(found.api_ready)} · node {_word(found.node_ready)} · metrics {_word(found.metrics_ready)}",
        *(f"  {process.name:<24} {process.pid if process.alive else 'ended'}" for process in found.processes),
        f"kubeconfig: {found.kubeconfig}",
        f"logs: {found.logs}",
    ]
    return "\n".join(lines)


def _word(yes: bool) -> str:
    return "yes" if yes else "no"
