"""What the steps of a release share: the plan that was written down, and the hands that act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from holdfast.infra.bluegreen.ports import Ports
from holdfast.infra.release import Release, read_release
from holdfast.infra.stack import Color, Stack
from holdfast.infra.target import Placement, Target
from holdfast.journal import Journal, Operation, Step
from holdfast.timeline import Timeline


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided when the operation began; it is in the journal and never changes.

    `origin`: the live colors when it began, empty for services without one. `schema_before`: the database's revision
    then. `shares`: percents of the traffic that move before all of it does.
    `closes`: the operation that this one ends (a rollback ends a release).
    """

    version: str
    digest: str
    placement: dict[str, Color]
    origin: dict[str, Color]
    sizes: dict[str, int]
    hold_s: float
    schema_before: str | None = None
    previous_version: str = ""
    closes: str = ""
    shares: list[int] = []


@dataclass
class Context:
    """The hands of an operation."""

    plan: Plan
    releases: Path
    stack: Stack
    target: Target
    ports: Ports
    timeline: Timeline
    journal: Journal
    operation: Operation
    written: int | None = None
    """When this process wrote the switch (ns, monotonic); None in a process that went on after it."""

    @property
    def release(self) -> Release:
        """The release, for the steps that start it: the way back must not depend on a folder."""
        return read_release(self.plan.version, self.releases)

    @property
    def token(self) -> int:
        """The fencing token under which this process acts."""
        return self.journal.token

    @property
    def label(self) -> str:
        """The operation as a person would name it."""
        return f"{self.operation.kind} {self.plan.version}"

    def around(self, step: Step[Context], act: Callable[[Context], None]) -> None:
        """Run a step's act or undo as a span of the timeline."""
        name = step.name if act is step.act else f"undo {step.name}"
        with self.timeline.span("step", op=self.label, step=name, version=self.plan.version):
            act(self)


def opposite(color: str) -> Color:
    """The other color."""
    return "green" if color == "blue" else "blue"


def old_colors(plan: Plan) -> Placement:
    """The colors that the placed services leave; empty for a first release."""
    return {service: plan.origin[service] for service in plan.placement if service in plan.origin}
