"""What the steps of a restore share: the plan that was written down, and the hands that act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import msgspec

from holdfast.infra.home import Home
from holdfast.infra.recovery.manifest import Backup, read_backup
from holdfast.infra.recovery.stores import Stores
from holdfast.infra.stack import Stack
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Operation, Step
from holdfast.timeline import Timeline

HERE = "here"


class RestorePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided when the restore began; it is in the journal and never changes.

    `to`: the new home, or `here`. `letters`: some in the names of what the restore makes beside the live data, its
    own also where several homes restore into one stack. `made_root`: the new home's folder did not exist. `free`: in
    place, the number of the empty database of each Redis that the backup is loaded into.
    """

    backup: str
    id: str
    stack: str
    to: str
    letters: str
    made_root: bool = False
    free: dict[str, int] = {}


class Schema(Protocol):
    """Brings a database within the range of the live release."""

    def fit(self, dsn: str) -> None:
        """Raise Refused when that cannot be; do nothing where there is no release."""
        ...


class AnySchema:
    """Where there are no migrations, any schema fits."""

    def fit(self, dsn: str) -> None:
        """Do nothing."""


@dataclass
class RestoreContext:
    """The hands of a restore.

    `stores`: those of the stack here, for a restore in place. `target`: the new home's, for one into a new home; it is
    owned by this process, so that it ends when this process does. `remember`: note which stack the new home is of.
    """

    plan: RestorePlan
    stack: Stack
    operation: Operation
    timeline: Timeline
    stores: Stores
    home: Home
    target: LocalTarget | None = None
    schema: Schema = field(default_factory=AnySchema)
    remember: Callable[[Home], None] = lambda home: None
    running: bool = False

    @cached_property
    def backup(self) -> Backup:
        """The backup, as it lies on the disk."""
        return read_backup(Path(self.plan.backup))

    @property
    def label(self) -> str:
        """The operation as a person would name it."""
        return f"restore {self.plan.id}"

    def around(self, step: Step[RestoreContext], act: Callable[[RestoreContext], None]) -> None:
        """Run a step's act or undo as a span of the timeline."""
        name = step.name if act is step.act else f"undo {step.name}"
        with self.timeline.span("step", op=self.label, step=name, version=self.plan.id):
            act(self)
