"""A process that runs one command of the release desk and is killed at a point of it, or kills the supervisor there.

`python deploy_child.py SPEC` with SPEC as JSON: home, verb, version, shares, replicas, space (the name of a stack on
the test cluster; empty: on this machine), fail ("reconcile": the ledger says no), `victim`: self|supervisor, and
`point`: {"at": WHERE, "step": NAME}. WHERE is before or after (around the
step's act), done (its DONE line is on disk and nothing after it), undo-before, undo-after, or begin, paused, finish
(right after that line). The last line of stdout is JSON: how the command ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from support.stack import VERSIONS, Sparkle, StackUnderTest, quick_stack, refusal, supervisor_pids, verdict

from holdfast.errors import HoldfastError, Refused
from holdfast.infra.bluegreen import operations
from holdfast.infra.bluegreen.context import Context
from holdfast.infra.home import Home
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Mark, Operation, Step
from holdfast.verdict import Outcome

TESTS = Path(__file__).resolve().parents[1]
WAYS: dict[str, Callable[[Any], Any]] = {
    "rollback": lambda desk: desk.rollback(),
    "promote": lambda desk: desk.promote(),
    "abort": lambda desk: desk.abort(),
    "resume": lambda desk: desk.resume(),
}


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Where something is killed."""

    at: str
    step: str = ""

    def __str__(self) -> str:
        return f"{self.at}-{self.step}".rstrip("-")


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What the child does."""

    home: str
    verb: str
    version: str = ""
    shares: list[int] = []
    replicas: int = 1
    space: str = ""
    fail: str = ""
    point: Point | None = None
    victim: str = "self"


class AnySchema:
    """A schema window through which everything fits, without a database."""

    def current(self) -> str | None:
        return "0001"

    def check(self, oldest: str, newest: str) -> None:
        pass

    def expand(self, newest: str) -> None:
        pass

    def drop_expansion(self, back_to: str | None) -> None:
        pass


def child_environ() -> dict[str, str]:
    """The environment of a process that imports what tests import."""
    folders = [str(TESTS), str(TESTS.parent / "infra"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folder for folder in folders if folder)}


def run_child(spec: Spec, *, within: Sequence[str] = (), timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the child and wait for its end. `within`: argv in front of its own, such as `unshare`."""
    return subprocess.run(
        [*within, sys.executable, "-P", str(Path(__file__)), msgspec.json.encode(spec).decode()],
        env=child_environ(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def command(stack: StackUnderTest[Any], verb: str, version: str = "", shares: Sequence[int] = (), **ports: Any) -> Any:
    """One command of the release desk, with quick ports."""
    desk = stack.desk(schema=AnySchema(), **ports)
    return desk.deploy(version, shares=shares) if verb == "deploy" else WAYS[verb](desk)


def refused(stack: StackUnderTest[Any], verb: str, version: str = "") -> Refused:
    return refusal(lambda: command(stack, verb, version))


def another(stack: StackUnderTest[Any]) -> str:
    """A version that is not live."""
    return next(version for version in VERSIONS if version != stack.live_version())


class Killer:
    """Kills its victim when the point is reached, once."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.done = False

    def reached(self, at: str, step: str = "") -> None:
        point = self.spec.point
        if self.done or point is None or (point.at, point.step) != (at, step):
            return
        self.done = True
        victims = [os.getpid()] if self.spec.victim == "self" else supervisor_pids(Path(self.spec.home))
        for pid in victims:
            os.kill(pid, signal.SIGKILL)

    def wrapped(self, step: Step[Context]) -> Step[Context]:
        def act(context: Context) -> None:
            self.reached("before", step.name)
            step.act(context)
            self.reached("after", step.name)

        def undo(context: Context) -> None:
            self.reached("undo-before", step.name)
            step.undo(context)
            self.reached("undo-after", step.name)

        return Step(step.name, act=act, undo=undo)

    def arm(self) -> None:
        """Wrap every step of every protocol, and the journal's writes."""
        steps_of, plain = operations._steps_of, Operation.write

        def steps(operation: Operation) -> tuple[Step[Context], ...]:
            return tuple(self.wrapped(step) for step in steps_of(operation))

        def write(operation: Operation, mark: Mark, step: str = "", **data: Any) -> None:
            plain(operation, mark, step, **data)
            after = {Mark.DONE: "done", Mark.BEGIN: "begin", Mark.PAUSED: "paused", Mark.FINISHED: "finish"}
            if mark in after:
                self.reached(after[mark], step if mark is Mark.DONE else "")

        operations._steps_of = steps
        setattr(Operation, "write", write)  # noqa: B010 - mypy forbids the plain assignment to a method


def stack_of(spec: Spec) -> StackUnderTest[Any]:
    """The stack of a spec, opened."""
    home = Home(Path(spec.home))
    if spec.space:
        from support.cluster_stack import ClusterSparkle, cluster_target, quick_cluster_stack

        there = quick_cluster_stack(spec.replicas, name=spec.space)
        return ClusterSparkle(there, home, cluster_target(there, home))
    stack = quick_stack(spec.replicas)
    return Sparkle(stack, home, LocalTarget(stack, home))


def main(spec: Spec) -> int:
    Killer(spec).arm()
    no = verdict(Outcome.FAIL)
    try:
        result = command(
            stack_of(spec),
            spec.verb,
            spec.version,
            spec.shares,
            reconcile=(lambda: no) if spec.fail == "reconcile" else None,
        )
    except HoldfastError as error:
        print(json.dumps({"error": str(error), "code": int(error.code)}))
        return int(error.code)
    print(json.dumps(msgspec.to_builtins(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(sys.argv[1], type=Spec)))
