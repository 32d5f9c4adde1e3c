"""Where an operation stands, read from its journal."""

from __future__ import annotations

import time

import msgspec

from holdfast.infra.bluegreen.context import Plan
from holdfast.infra.bluegreen.release import HOLD
from holdfast.journal import Operation


def describe_open(operation: Operation, *, old_runs: bool) -> tuple[str, list[str]]:
    """Where an open operation stands, in words, and the commands that go on from there.

    `old_runs`: whether the color that the traffic came from still runs, so that there is a way back.
    """
    if operation.paused_at == HOLD and not old_runs:
        return "live; the old color has ended, there is no way back but another release", [
            "holdfast promote    closes it",
        ]
    if operation.paused_at == HOLD:
        until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(hold_end(operation) or 0))
        return f"live; the old color is held until {until}", [
            "holdfast rollback   goes back by one write",
            "holdfast promote    ends the hold now",
        ]
    if operation.paused_at:
        return f"paused after {operation.paused_at}", [
            "holdfast resume     goes on",
            "holdfast abort      undoes it",
        ]
    last = operation.lines[-1]
    doing = "undoing" if operation.turned_back else "going on"
    return f"{doing}, last written: {last.mark.value} {last.step}".rstrip(), [
        "holdfast resume     goes on, if no command is at work on it",
        "holdfast abort      undoes it",
    ]


def plan_of(operation: Operation) -> Plan:
    """The plan of an operation, typed."""
    return msgspec.convert(operation.plan, Plan)


def hold_end(operation: Operation) -> float | None:
    """When the hold window ends: its length after the hold step was done."""
    plan = plan_of(operation)
    done = [line.at for line in operation.lines if line.step == HOLD and line.mark.value == "done"]
    return done[-1] + plan.hold_s if done else None
