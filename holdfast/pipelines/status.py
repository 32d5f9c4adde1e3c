"""What `holdfast status` shows: the stack and its release in one, on this machine."""

from __future__ import annotations

import msgspec

from holdfast.children import tagged
from holdfast.errors import HoldfastError
from holdfast.infra.bluegreen.context import old_colors
from holdfast.infra.bluegreen.standing import describe_open, plan_of
from holdfast.infra.home import Home
from holdfast.infra.recovery.desk import describe_restore, open_restore
from holdfast.infra.stack import COLORS
from holdfast.infra.supervisor.unit import STACK_TAG, Kept
from holdfast.infra.target import RouteTable, Target
from holdfast.infra.targets.local.orphans import sweep_orphans
from holdfast.infra.targets.local.target import LocalTarget, read_live
from holdfast.journal import Journal


class ColorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A color of a service: `weight` percent of the traffic, `running` of `size` instances, held until a time."""

    color: str
    version: str
    weight: int
    running: int
    size: int
    held_until: float | None = None


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A service with its colors."""

    name: str
    colors: list[ColorStatus]


class UnitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A process, or a pod (its `pid` is 0); `trouble`: why it does not run, where somebody knows."""

    name: str
    alive: bool
    pid: int
    restarts: int
    last_exit: int | None
    trouble: str = ""


class OperationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The open operation: where it stands in words, and the commands that go on from there."""

    name: str
    version: str
    says: str
    ways: list[str]


class StackStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The stack and its release in one. `restore`: the one that is open, if any; `trouble`: what a person must see."""

    stack: str
    up: bool
    edge_url: str
    services: list[ServiceStatus]
    units: list[UnitStatus]
    operation: OperationStatus | None
    restore: str = ""
    trouble: str = ""


def local_status(target: LocalTarget) -> StackStatus:
    """Look at a stack on this machine. It starts nothing but a supervisor for what a killed one left behind."""
    sweep_orphans(target.home)
    _adopt(target)
    units = target.units() if target.home.root.exists() and target.supervisor.running() else {}
    table = read_live(target.home)
    operation, restore, trouble = None, "", ""
    try:
        operation = operation_status(target, runs=target.supervisor.running())
        restore = restore_status(target.home)
    except HoldfastError as error:
        trouble = str(error)
    up = target.is_up()
    return StackStatus(
        stack=target.stack.name,
        up=up,
        edge_url=target.edge_url() if up else "",
        services=[_service(target, name, table, units) for name in target.stack.services if table.live(name)],
        units=[_unit(name, kept) for name, kept in sorted(units.items())],
        operation=operation,
        restore=restore,
        trouble=trouble,
    )


def _adopt(target: LocalTarget) -> None:
    """Where a killed supervisor left processes behind, start the next one: it adopts them."""
    home = target.home.root
    if home.exists() and not target.supervisor.running() and any(tagged(STACK_TAG, str(home))):
        target.supervisor.ensure()


def restore_status(home: Home) -> str:
    """The restore that is open, in words; empty when none is."""
    operation = open_restore(home)
    return f"{operation.plan.get('id')}: {describe_restore(operation)}" if operation else ""


def operation_status(target: Target, *, runs: bool) -> OperationStatus | None:
    """The open operation of the home; None without one. `runs`: whether the target can be asked."""
    journal = Journal(target.home.journal)
    operation = journal.open_operation() if target.home.journal.exists() else None
    if operation is None:
        return None
    old_runs = runs and target.running(old_colors(plan_of(operation)))
    says, ways = describe_open(operation, old_runs=old_runs)
    return OperationStatus(name=operation.name, version=str(operation.plan.get("version")), says=says, ways=ways)


def _service(target: LocalTarget, name: str, table: RouteTable, units: dict[str, Kept]) -> ServiceStatus:
    colors = []
    for color in COLORS:
        mine = [kept for unit, kept in units.items() if unit.startswith(f"{name}-{color}-")]
        started = target.started_in(name, color)
        colors.append(
            ColorStatus(
                color=color,
                version=started.version if started and (mine or table.live(name) == color) else "",
                weight=table.weights.get(name, {}).get(color, 0),
                running=sum(kept.alive() for kept in mine),
                size=started.size if started else 0,
                held_until=min((kept.expires_at for kept in mine if kept.expires_at), default=None),
            )
        )
    return ServiceStatus(name=name, colors=colors)


def _unit(name: str, kept: Kept) -> UnitStatus:
    return UnitStatus(
        name=name,
        alive=kept.alive(),
        pid=kept.identity.pid if kept.identity else 0,
        restarts=kept.restarts,
        last_exit=kept.last_exit,
    )
