"""up, status, logs, down: the commands of a stack on this machine, as functions."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from holdfast.children import tagged
from holdfast.errors import Refused, UsageError
from holdfast.infra.home import Home, home_at
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import STACK_TAG
from holdfast.infra.targets.kept import keep_where, where_of
from holdfast.infra.targets.local.orphans import sweep_orphans
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Journal
from holdfast.pipelines.compose import find_stack, keep_stack
from holdfast.pipelines.status import StackStatus, local_status
from holdfast.pipelines.targets import open_cluster


def bring_up(
    stack: str | None, home: str, *, links_argv: list[str] | None = None, new_ports: bool = False
) -> StackStatus:
    """Start the stack and return its status. The home remembers which stack it is."""
    at = home_at(home)
    file, where = find_stack(stack, at), where_of(at, target="local")
    target = LocalTarget(file.read(), at)
    sweep_orphans(at)
    target.up(links_argv=links_argv, new_ports=new_ports)
    keep_stack(file, at)
    keep_where(where, at)
    return local_status(target)


def stack_status(stack: str | None, home: str) -> StackStatus:
    """Look at the stack. It starts nothing but a supervisor for processes that a killed one left behind."""
    at = home_at(home)
    file, where = find_stack(stack, at), where_of(at, looking=True)
    if where.target == "cluster":
        from holdfast.pipelines.status_cluster import cluster_status

        return cluster_status(open_cluster(file, at, where))
    return local_status(LocalTarget(file.read(), at))


def take_down(home: str, *, data: bool = False) -> list[str]:
    """End every process of the stack; returns their names. `data`: forget the stores' data and the journal too.

    It needs no stack's YAML: what runs is known to the supervisor.
    """
    at = home_at(home)
    if not at.root.exists():
        return []
    sweep_orphans(at)
    supervisor = SupervisorClient(at.root)
    with Journal(at.journal).lock("holdfast down"):
        running = _end(supervisor)
        if data:
            forget(at)
    return running


def _end(supervisor: SupervisorClient) -> list[str]:
    """End what runs, also what a killed supervisor left behind."""
    if not supervisor.running() and not any(tagged(STACK_TAG, str(supervisor.home))):
        return []
    supervisor.ensure()
    running = list(supervisor.units())
    supervisor.shutdown()
    return running


def log_lines(home: str, process: str | None, lines: int) -> list[tuple[str, str]]:
    """The last lines of one log, or of all: (process, line)."""
    found = []
    for path in _logs(home, process):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - lines * 500))
            tail = file.read().decode(errors="replace").splitlines()[-lines:]
        found += [(path.stem, line) for line in tail]
    return found


def follow_log(home: str, process: str | None) -> Iterator[tuple[str, str]]:
    """Yield lines as they are written, until the caller stops."""
    files = {path: path.open("r", encoding="utf-8", errors="replace") for path in _logs(home, process)}
    for file in files.values():
        file.seek(0, 2)
    while True:
        for path, file in files.items():
            for line in file:
                yield path.stem, line.rstrip("\n")
        time.sleep(0.2)


def _logs(home: str, process: str | None) -> list[Path]:
    folder = home_at(home).logs
    known = sorted(folder.glob("*.log")) if folder.exists() else []
    if process is None:
        if not known:
            raise Refused("there are no logs", because=f"nothing ran in {folder.parent} yet", way_out="holdfast up")
        return known
    found = [path for path in known if path.stem == process]
    if not found:
        raise UsageError(
            f"there is no log of {process}",
            because=f"known: {', '.join(path.stem for path in known) or 'none'}",
            way_out="name one of those",
        )
    return found


def forget(home: Home) -> None:
    """Forget what a home knows of its stack: the stores' data, state, and operations; releases and runs stay."""
    for folder in (home.data, home.state, home.envoy):
        shutil.rmtree(folder, ignore_errors=True)
    for path in home.journal.glob("[0-9]*"):
        path.unlink()
