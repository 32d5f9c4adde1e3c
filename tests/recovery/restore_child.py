"""A process that restores and is killed at a point of it: `python restore_child.py SPEC`, SPEC as JSON.

The points are those of support.deploy_child: begin, before and after (a step's act), done, paused, undo-before,
undo-after, finish.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from recovery.restoring import Restoring
from support.deploy_child import Point, child_environ
from support.stack import Sparkle, quick_stack

from holdfast.errors import HoldfastError
from holdfast.infra.home import Home
from holdfast.infra.recovery.context import RestoreContext
from holdfast.infra.recovery.manifest import read_backup
from holdfast.infra.recovery.restore import PROTOCOLS
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Mark, Operation, Step

AFTER = {Mark.DONE: "done", Mark.BEGIN: "begin", Mark.PAUSED: "paused", Mark.FINISHED: "finish"}


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What the child does: `verb` is restore, undo or finish."""

    stack_home: str
    home: str
    backup: str
    to: str
    point: Point
    verb: str = "restore"


def run_child(spec: Spec) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    argv = [sys.executable, "-P", str(Path(__file__)), msgspec.json.encode(spec).decode()]
    return subprocess.run(argv, env=child_environ(), capture_output=True, text=True, timeout=90, check=False)


def arm(point: Point) -> None:
    """Kill this process when the point is reached: wrap every step, and the journal's writes."""

    def reached(at: str, step: str = "") -> None:
        if (at, step) == (point.at, point.step):
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(step: Step[RestoreContext]) -> Step[RestoreContext]:
        def act(context: RestoreContext) -> None:
            reached("before", step.name)
            step.act(context)
            reached("after", step.name)

        def undo(context: RestoreContext) -> None:
            reached("undo-before", step.name)
            step.undo(context)
            reached("undo-after", step.name)

        return Step(step.name, act=act, undo=undo)

    plain = Operation.write

    def write(operation: Operation, mark: Mark, step: str = "", **data: Any) -> None:
        plain(operation, mark, step, **data)
        if mark in AFTER:
            reached(AFTER[mark], step if mark is Mark.DONE else "")

    for kind, steps in PROTOCOLS.items():
        PROTOCOLS[kind] = tuple(wrapped(step) for step in steps)
    setattr(Operation, "write", write)  # noqa: B010 - mypy forbids the plain assignment to a method


def main(spec: Spec) -> int:
    arm(spec.point)
    stack, home = quick_stack(1), Home(Path(spec.stack_home))
    backup = read_backup(Path(spec.backup))
    desk = Restoring(Sparkle(stack, home, LocalTarget(stack, home)), backup, Home(Path(spec.home))).desk()
    verbs = {"restore": lambda: desk.restore(backup, spec.to), "undo": desk.undo, "finish": desk.finish}
    try:
        print(verbs[spec.verb]())
    except HoldfastError as error:
        print(error)
        return int(error.code)
    return 0


if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(sys.argv[1], type=Spec)))
