"""The lock of a stack's operations: the home's and, where operators elsewhere share the target, the target's."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from holdfast.errors import HoldfastError, Refused
from holdfast.infra.home import Home
from holdfast.infra.target import CanLock, Target
from holdfast.journal import Journal, Operation


@contextmanager
def locked(journal: Journal, target: Target, holder: str, *, take_over: bool = False) -> Iterator[int]:
    """Hold it; yields the fencing token, newer than that of the routes in force.

    Raises Refused when somebody else has it, or when an operation is open whose journal is in another home, unless
    that is taken over.
    """
    with journal.lock(holder, newer_than=target.live().token) as token:
        if not isinstance(target, CanLock):
            yield token
            return
        with target.lock(holder, token - 1) as shared:
            journal.token = shared
            if not take_over:
                _end_overtaken(journal, target)
                _refuse_another_home(target.noted(), target.home)
            try:
                yield shared
            finally:
                with suppress(HoldfastError):  # what is noted too long is cleared by the next command of this home
                    note(target, journal.open_operation())


def _end_overtaken(journal: Journal, target: Target) -> None:
    """Close what another home has set aside and gone beyond: to go on with it, or back, would undo that home's release.

    Within one home the routes never carry a newer token than the journal: an operation writes it before it acts.
    """
    operations = journal.operations()
    newest = max((line.token for operation in operations for line in operation.lines), default=0)
    if target.live().token <= newest:
        return
    for operation in operations:
        if operation.outcome is None:
            operation.fence(journal.token)
            operation.finish("overtaken", because="another home has set it aside and released since")


def note(target: Target, operation: Operation | None) -> None:
    """Say on a shared target which operation is open, so that no other home begins one beside it."""
    if isinstance(target, CanLock):
        version = operation.plan.get("version", "") if operation else ""
        target.note(f"{operation.name} {version} in {_name(target.home)}" if operation else "")


def open_elsewhere(target: Target) -> str:
    """The operation that is open and whose journal is in another home; empty when none is."""
    noted = target.noted() if isinstance(target, CanLock) else ""
    return "" if not noted or noted.endswith(f" in {_name(target.home)}") else noted


def _refuse_another_home(noted: str, home: Home) -> None:
    if noted and not noted.endswith(f" in {_name(home)}"):
        raise Refused(
            "an operation is open elsewhere",
            because=f"{noted}; its journal is there, and with it the way back",
            way_out="end it in that home (`holdfast status` there says how); when that home is lost: `holdfast abort "
            "--set-aside` keeps the color that is live and stops the other one",
        )


def _name(home: Home) -> str:
    return f"{platform.node()}:{home.root}"
