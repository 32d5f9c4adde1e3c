"""The only place that joins packages: a release desk with its schema window, gates and watch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from holdfast.content import content_root, resolve
from holdfast.durable import replace_file
from holdfast.errors import UsageError
from holdfast.infra.bluegreen.operations import Desk
from holdfast.infra.bluegreen.ports import Ports
from holdfast.infra.effects import read_effects
from holdfast.infra.home import Home
from holdfast.infra.stack import Stack, load_stack
from holdfast.infra.target import Target
from holdfast.journal import Journal
from holdfast.ledger import Effect
from holdfast.migrations.schema import AlembicSchema
from holdfast.pipelines.release_gates import IdleGate, LiveWatch, ReleaseLedger, ReleaseTraffic
from holdfast.run import Run

DEFAULT_STACK = "sparkle"
KEPT_STACK = "stack"


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
    target: Target

    def read(self, prefix: str) -> list[Effect] | None:
        """The effects of requests whose id begins with `prefix`. Raises EnvironmentFailed without an answer."""
        effects = self.stack.effects
        if effects is None:
            return None
        return read_effects(effects, self.target.store_dsn(effects.store), prefix)


@dataclass(frozen=True)
class StackFile:
    """A stack's YAML, and where the folders that it names are."""

    path: Path

    def read(self) -> Stack:
        """Read and check it."""
        return load_stack(str(self.path))

    def folder(self, name: str) -> Path:
        """A folder that the YAML names: of the repository or the installation that the YAML belongs to, no other."""
        places = self._roots()
        for place in places:
            if (place / name).is_dir():
                return (place / name).resolve()
        raise UsageError(
            f"there is no folder {name}",
            because=f"{self.path.name} names it; looked in {', '.join(str(place) for place in places)}",
            way_out="make it there, or correct the name in the stack's YAML",
        )

    def _roots(self) -> list[Path]:
        if self.path.is_relative_to(content_root()):
            return [content_root()]
        if self.path.parent.parts[-2:] == ("infra", "stacks"):
            return [self.path.parents[2]]
        return [self.path.parent, Path.cwd(), content_root()]


def find_stack(name: str | None, home: Home) -> StackFile:
    """The stack of a command: the one that is named, else the one that was brought up at this home, else sparkle."""
    if name is None:
        kept = home.state / KEPT_STACK
        name = kept.read_text(encoding="utf-8") if kept.is_file() else DEFAULT_STACK
    return StackFile(resolve(name, "infra/stacks", ".yaml").resolve())


def keep_stack(file: StackFile, home: Home) -> None:
    """Remember which stack runs at this home, so that no later command must name it."""
    replace_file(home.state / KEPT_STACK, str(file.path).encode())


def open_desk(file: StackFile, target: Target, run: Run) -> Desk:
    """The release desk of a stack; what it does is recorded in `run`."""
    stack = target.stack
    traffic = ReleaseTraffic(stack, target, run, EffectSource(stack, target).read)
    return Desk(
        stack=stack,
        home=target.home,
        target=target,
        ports=Ports(
            schema=SchemaOf(file, target),
            gate=IdleGate(traffic),
            watch=LiveWatch(traffic),
            reconcile=ReleaseLedger(traffic),
        ),
        timeline=run.timeline,
        journal=Journal(target.home.journal),
    )


@dataclass
class SchemaOf:
    """The schema window of a stack, opened when it is asked: a rollback asks nothing of it."""

    file: StackFile
    target: Target

    def current(self) -> str | None:
        """The database's revision."""
        return self._window.current()

    def check(self, oldest: str, newest: str) -> None:
        """Raise Refused when the database cannot be brought into the range."""
        self._window.check(oldest, newest)

    def expand(self, newest: str) -> None:
        """Bring the database there."""
        self._window.expand(newest)

    def drop_expansion(self, back_to: str | None) -> None:
        """Take it back."""
        self._window.drop_expansion(back_to)

    @cached_property
    def _window(self) -> AlembicSchema | NoSchema:
        migrations = self.target.stack.migrations
        if migrations is None:
            return NoSchema()
        folder = self.file.folder(migrations.folder)
        return AlembicSchema(folder, self.target.store_dsn(migrations.store))
