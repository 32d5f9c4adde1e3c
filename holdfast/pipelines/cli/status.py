"""holdfast status"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.pipelines.cli.options import common

if TYPE_CHECKING:
    from holdfast.pipelines.status import StackStatus


@click.command(epilog="\b\nExamples:\n  holdfast status\n  holdfast status --json")
@common
def status(stack: str | None, home: str, as_json: bool) -> None:
    """Show the stack and its release in one. It changes nothing."""
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.stacks import stack_status

    found = stack_status(stack, home)
    if as_json:
        print_json(found)
    else:
        for line in _lines(found):
            click.echo(line)


def _lines(found: StackStatus) -> list[str]:
    lines = [f"stack    {found.stack}: {'up at ' + found.edge_url if found.up else 'down'}"]
    for service in found.services:
        colors = ", ".join(
            f"{color.color} {color.version or '-'} {color.weight} % ({color.running} of {color.size} run)"
            for color in service.colors
            if color.version
        )
        lines.append(f"service  {service.name}: {colors or 'not released'}")
    for unit in found.units:
        again = f", started again {unit.restarts} times (last exit {unit.last_exit})" if unit.restarts else ""
        state = "runs" if unit.alive else f"does not run{': ' + unit.trouble if unit.trouble else ''}"
        what = f"process  {unit.name}: {state} (pid {unit.pid})" if unit.pid else f"pod      {unit.name}: {state}"
        lines.append(f"{what}{again}")
    if found.restore:
        lines.append(f"restore  {found.restore}; `holdfast restore --finish` or `--undo` ends it")
    operation = found.operation
    if found.trouble:
        return [*lines, *found.trouble.splitlines()]
    if operation is None:
        return [*lines, "release  no operation is open"]
    return [*lines, f"release  {operation.name} {operation.version}: {operation.says}", *_ways(operation.ways)]


def _ways(ways: list[str]) -> list[str]:
    return [f"         {way}" for way in ways]
