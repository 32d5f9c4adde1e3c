"""up, status, logs, down: the commands of a stack, as functions."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from holdfast.children import tagged
from holdfast.errors import HoldfastError, Refused, UsageError
from holdfast.infra.bluegreen.context import old_colors
from holdfast.infra.bluegreen.standing import describe_open, plan_of
from holdfast.infra.home import Home, home_at
from holdfast.infra.stack import COLORS
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import STACK_TAG, Kept
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.local.orphans import sweep_orphans
from holdfast.infra.targets.local.target import LocalTarget, read_live
from holdfast.journal import Journal
from holdfast.pipelines.compose import find_stack, keep_stack


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
    """A process."""

    name: str
    alive: bool
    pid: int
    restarts: int
    last_exit: int | None


class OperationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The open operation: where it stands in words, and the commands that go on from there."""

    name: str
    version: str
    says: str
    ways: list[str]


class StackStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The stack and its release in one."""

    stack: str
    up: bool
    edge_url: str
    services: list[ServiceStatus]
    units: list[UnitStatus]
    operation: OperationStatus | None
    trouble: str = ""


def bring_up(
    stack: str | None, home: str, *, links_argv: list[str] | None = None, new_ports: bool = False
) -> StackStatus:
    """Start the stack and return its status. The home remembers which stack it is."""
    at = home_at(home)
    file = find_stack(stack, at)
    target = LocalTarget(file.read(), at)
    sweep_orphans(at)
    target.up(links_argv=links_argv, new_ports=new_ports)
    keep_stack(file, at)
    return _status(target)


def stack_status(stack: str | None, home: str) -> StackStatus:
    """Look at the stack. It starts nothing but a supervisor for processes that a killed one left behind."""
    at = home_at(home)
    return _status(LocalTarget(find_stack(stack, at).read(), at))


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
            _forget(at)
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


def _status(target: LocalTarget) -> StackStatus:
    sweep_orphans(target.home)
    _adopt(target)
    units = target.units() if target.home.root.exists() and target.supervisor.running() else {}
    table = read_live(target.home)
    operation, trouble = None, ""
    try:
        operation = _operation(target)
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
        trouble=trouble,
    )


def _adopt(target: LocalTarget) -> None:
    """Where a killed supervisor left processes behind, start the next one: it adopts them."""
    home = target.home.root
    if home.exists() and not target.supervisor.running() and any(tagged(STACK_TAG, str(home))):
        target.supervisor.ensure()


def _operation(target: LocalTarget) -> OperationStatus | None:
    journal = Journal(target.home.journal)
    operation = journal.open_operation() if target.home.journal.exists() else None
    if operation is None:
        return None
    old = old_colors(plan_of(operation))
    old_runs = target.supervisor.running() and target.running(old)
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


def _forget(home: Home) -> None:
    for folder in (home.data, home.state, home.envoy):
        shutil.rmtree(folder, ignore_errors=True)
    for path in home.journal.glob("[0-9]*"):
        path.unlink()
