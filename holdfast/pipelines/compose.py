"""The only place that joins packages: a release desk with its schema window, gates and watch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from holdfast.children import Identity
from holdfast.content import content_root
from holdfast.errors import UsageError
from holdfast.infra.bluegreen.operations import Desk
from holdfast.infra.bluegreen.ports import Ports
from holdfast.infra.effects import read_effects
from holdfast.infra.home import Home
from holdfast.infra.stack import Stack, load_stack
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Journal
from holdfast.ledger import Effect
from holdfast.migrations.schema import AlembicSchema
from holdfast.pipelines.release_gates import IdleGate, LiveWatch, ReleaseLedger, ReleaseTraffic
from holdfast.run import Run


class NoSchema:
    """The schema window of a stack without migrations."""

    def current(self) -> str | None:
        """There is no revision."""
        return None

    def check(self, oldest: str, newest: str) -> None:
        """Anything fits."""

    def expand(self, newest: str) -> None:
        """There is nothing to expand."""

    def drop_expansion(self, back_to: str | None) -> None:
        """There is nothing to take back."""


@dataclass
class EffectSource:
    """Reads the effects of a stack; None where the stack names no query."""

    stack: Stack
    target: LocalTarget

    def read(self, prefix: str) -> list[Effect] | None:
        """The effects of requests whose id begins with `prefix`. Raises EnvironmentFailed without an answer."""
        effects = self.stack.effects
        if effects is None:
            return None
        return read_effects(effects, self.target.provision.store_dsn(effects.store), prefix)


def open_target(stack_name: str, home: Home, *, owner: Identity | None = None) -> LocalTarget:
    """The target of a stack at a home."""
    return LocalTarget(load_stack(stack_name), home, owner=owner)


def open_desk(target: LocalTarget, run: Run) -> Desk:
    """The release desk of a stack; what it does is recorded in `run`."""
    stack = target.stack
    traffic = ReleaseTraffic(stack, target, run, EffectSource(stack, target).read)
    return Desk(
        stack=stack,
        home=target.home,
        target=target,
        ports=Ports(
            schema=schema_window(stack, target),
            gate=IdleGate(traffic),
            watch=LiveWatch(traffic),
            reconcile=ReleaseLedger(traffic),
        ),
        timeline=run.timeline,
        journal=Journal(target.home.journal),
    )


def schema_window(stack: Stack, target: LocalTarget) -> AlembicSchema | NoSchema:
    """The schema of the stack's database; always fits where the stack has no migrations."""
    if stack.migrations is None:
        return NoSchema()
    folder = content_folder(stack.migrations.folder)
    return AlembicSchema(folder, target.provision.store_dsn(stack.migrations.store))


def content_folder(name: str) -> Path:
    """A content folder by the name in a stack's YAML: the working folder's, else the one that came with holdfast."""
    for place in (Path.cwd() / name, content_root() / name):
        if place.is_dir():
            return place.resolve()
    raise UsageError(f"there is no folder {name}", because="neither the working folder nor the installation has it")
