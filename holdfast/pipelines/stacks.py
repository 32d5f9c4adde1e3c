"""up, status, logs, down: the commands of a stack on this machine, as functions."""

from __future__ import annotations

import shutil

from holdfast.children import tagged
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


def forget(home: Home) -> None:
    """Forget what a home knows of its stack: the stores' data, state, and operations; releases and runs stay."""
    for folder in (home.data, home.state, home.envoy):
        shutil.rmtree(folder, ignore_errors=True)
    for path in home.journal.glob("[0-9]*"):
        path.unlink()
