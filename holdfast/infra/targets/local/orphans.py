"""Stacks below HOME/runs whose owner and supervisor were both killed: nobody is left to end them but the next command.

A stack whose supervisor lives ends with its owner; one whose owner lives is the owner's to end.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from holdfast.children import identify, poll, tagged
from holdfast.errors import EnvironmentFailed
from holdfast.infra.home import Home
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import STACK_TAG, State

SWEEP_TIMEOUT = 10.0


def sweep_orphans(home: Home) -> list[str]:
    """End the stacks below HOME/runs whose recorded owner is gone; returns their homes, sorted.

    One look at /proc where there is none. Raises EnvironmentFailed when a process does not end within 10 s.
    """
    swept = [stack for stack in _stacks_below(home.runs) if _is_orphan(stack)]
    for stack in swept:
        _sweep(stack)
    return [str(stack) for stack in swept]


def _stacks_below(folder: Path) -> list[Path]:
    """The homes below `folder` that some process carries as its tag."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (value := _tag(entry / "environ")):
            stack = Path(value)
            if folder in stack.parents and identify(int(entry.name)):
                found.add(stack)
    return sorted(found)


def _tag(environ: Path) -> str:
    """The value of the stack's tag in an environment; empty where there is none, or none that we may read."""
    try:
        pairs = environ.read_bytes().split(b"\0")
    except OSError:
        return ""
    prefix = f"{STACK_TAG}=".encode()
    return next((pair[len(prefix) :].decode(errors="replace") for pair in pairs if pair.startswith(prefix)), "")


def _is_orphan(stack: Path) -> bool:
    try:
        state = msgspec.json.decode((stack / "state" / "units.json").read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return False
    return state.owner is not None and not state.owner.alive()


def _sweep(stack: Path) -> None:
    """Have a supervisor end what runs: it reads that the owner is gone, and ends the stack before it answers."""
    client = SupervisorClient(stack)
    client.ensure()
    client.shutdown()
    left = None
    for _ in poll(time.monotonic() + SWEEP_TIMEOUT):
        left = next(tagged(STACK_TAG, str(stack)), None)
        if left is None:
            return
    pid = left[0].pid if left else 0
    raise EnvironmentFailed(
        f"the stack that was left in {stack} did not end",
        because=f"process {pid} still runs after {SWEEP_TIMEOUT:g} s",
        way_out=f"end it (kill -9 {pid}), then run the command again",
    )
