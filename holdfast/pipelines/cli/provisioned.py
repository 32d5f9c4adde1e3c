"""What the end of a command on a cluster looks like on stdout."""

from __future__ import annotations

import click

from holdfast.infra.automation.events import NO_CHANGE, Operation
from holdfast.infra.automation.images import ImageState
from holdfast.pipelines.cli.output import print_json
from holdfast.pipelines.clusters import Provisioned


def print_provisioned(done: Provisioned, *, as_json: bool) -> None:
    """Print one JSON document, or what a person wants to know."""
    if as_json:
        print_json(done)
        return
    lines = {"up": _up, "preview": _preview, "refresh": _refresh, "down": _down}[done.verb](done)
    for line in [*lines, *([f"report: {done.report}"] if done.report else [])]:
        click.echo(line)


def _up(done: Provisioned) -> list[str]:
    accepted = "was accepted by the API server" if done.images else "is up"
    lines = [*_repaired(done), f"{done.stack}-{done.environment} {accepted}: {_summary(done)}"]
    lines += [f"namespaces: {', '.join(done.namespaces)}", *map(_image, done.images)]
    if done.waits_for_release:
        lines.append("nothing is released yet: holdfast release build v1 && holdfast deploy v1")
    return lines


def _preview(done: Provisioned) -> list[str]:
    return [*map(_operation, done.operations), _summary(done)]


def _refresh(done: Provisioned) -> list[str]:
    changed = [found for found in done.operations if found.operation not in NO_CHANGE]
    if not changed:
        return [*_repaired(done), f"nothing was changed by hand: {_summary(done)}"]
    said = [f"changed by hand: {found.name}: {_difference(found)}" for found in changed]
    return [*_repaired(done), *said, _summary(done), "holdfast up takes back what no release owns"]


def _down(done: Provisioned) -> list[str]:
    name = f"{done.stack}-{done.environment}"
    if not done.operations:
        return [*_repaired(done), f"nothing of {name} was up"]
    kept = sorted(found.name for found in done.operations if found.operation == "same")
    stays = [f"kept with its data: {', '.join(kept)} (--data takes it away too)"] if kept else []
    return [*_repaired(done), f"{name} is down: {_summary(done)}", *stays]


def _repaired(done: Provisioned) -> list[str]:
    return [f"put right: {line}" for line in done.repaired]


def _summary(done: Provisioned) -> str:
    """47 objects: 12 create, 35 same (4.1 s, by the official plugin)."""
    counts = ", ".join(f"{count} {operation}" for operation, count in sorted(done.counts.items())) or "none"
    return f"{len(done.operations)} objects: {counts} ({done.seconds:.1f} s, by {done.plugin})"


def _operation(found: Operation) -> str:
    differs = f"  {', '.join(found.differs)}" if found.differs else ""
    return f"{found.operation:8} {found.region:9} {found.name}{differs}"


def _difference(found: Operation) -> str:
    if found.operation == "delete":
        return "it is gone"
    return ", ".join(found.differs) or found.operation


def _image(found: ImageState) -> str:
    pods = f" ({found.pods} {'pod' if found.pods == 1 else 'pods'})" if found.pods else ""
    return f"{found.state:10} {found.image}{pods}{': ' + found.because if found.because else ''}"
