"""Where a command's stack runs: its target, opened, and refused where it is not up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from holdfast.children import tagged
from holdfast.errors import Refused
from holdfast.infra.home import Home, home_at
from holdfast.infra.supervisor.unit import STACK_TAG
from holdfast.infra.target import Target
from holdfast.infra.targets.kept import Where, shown, where_of
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.pipelines.compose import StackFile, find_stack
from holdfast.timeline import Timeline

if TYPE_CHECKING:
    from holdfast.infra.stack import Stack
    from holdfast.infra.targets.cluster.target import ClusterTarget

STORES = "stores"
ALL_PARTS = ("edge", STORES)
"""What a release needs; the way back needs the edge alone."""


def running_target(stack: str | None, home: str, *, parts: Sequence[str]) -> tuple[StackFile, Target]:
    """The stack's file and its target, where the home has it, with these parts of it there; refuses where not."""
    at = home_at(home)
    file, where = find_stack(stack, at), where_of(at)
    if where.target == "local":
        return file, _running_here(file, at, parts)
    target = open_cluster(file, at, where)
    if away := target.why_not_up(stores=STORES in parts):
        raise Refused(
            "the stack is not up",
            because=f"{away} ({shown(where)})",
            way_out=f"holdfast up --target cluster --env {where.environment}, then this again",
        )
    return file, target


def open_cluster(
    file: StackFile,
    home: Home,
    where: Where,
    *,
    stack: Stack | None = None,
    say: Callable[[str], None] = lambda line: None,
    timeline: Timeline | None = None,
) -> ClusterTarget:
    """The target of a stack on a cluster; `stack`: instead of the file's. Nobody is asked yet."""
    from holdfast.infra.targets.cluster.access import find_access
    from holdfast.infra.targets.cluster.provision import ClusterProvision
    from holdfast.infra.targets.cluster.target import ClusterTarget

    meant = stack or file.read()
    provision = ClusterProvision(meant, home, where, find_access(), say=say, timeline=timeline)
    return ClusterTarget(meant, home, provision, say=say)


def _running_here(file: StackFile, home: Home, parts: Sequence[str]) -> LocalTarget:
    target = LocalTarget(file.read(), home)
    runs = home.root.exists() and (target.supervisor.running() or any(tagged(STACK_TAG, str(home.root))))
    if runs:
        target.supervisor.ensure()
    units = target.units() if runs else {}
    wanted = [name for name in parts for name in (target.stack.stores if name == STORES else [name])]
    away = [name for name in wanted if name not in units or not units[name].alive()]
    if away:
        raise Refused(
            "the stack is not up",
            because=f"these do not run: {', '.join(away)}",
            way_out="holdfast up, then this again",
        )
    return target
