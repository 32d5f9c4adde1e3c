"""Where a home's stack is: on this machine or on a cluster, in which environment. A home remembers it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from holdfast.children import tagged
from holdfast.durable import replace_file
from holdfast.errors import Refused, UsageError
from holdfast.infra.automation.settings import PASSPHRASE
from holdfast.infra.home import Home
from holdfast.infra.program.model import EnvironmentName, RegionName
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import STACK_TAG
from holdfast.infra.targets.local.state import BEGIN_ANEW, read_state
from holdfast.journal import Journal

TargetName = Literal["local", "cluster"]
FILE = "where.json"


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """`up`: an `up` has begun there, and no `down` has ended it. The rest but `target` is said of a cluster only.

    `backend` and `secrets_provider` are those of `holdfast.infra.automation.settings.Settings`.
    """

    target: TargetName = "local"
    environment: EnvironmentName = "dev"
    region: RegionName = "primary"
    backend: str = ""
    secrets_provider: str = PASSPHRASE
    up: bool = False


def kept_where(home: Home) -> Where | None:
    """What the home remembers; None when nothing was ever up there. Raises Refused when it cannot be read."""
    return read_state(home.state / FILE, Where, way_out=BEGIN_ANEW)


def keep_where(where: Where, home: Home) -> None:
    """Remember it: later commands need no --target and no --env."""
    replace_file(home.make().state / FILE, msgspec.json.encode(where))


def where_of(
    home: Home,
    *,
    target: TargetName | None = None,
    environment: EnvironmentName | None = None,
    region: RegionName | None = None,
    backend: str | None = None,
    secrets_provider: str | None = None,
    looking: bool = False,
) -> Where:
    """Where a command acts: as it was asked (None: not asked), else as the home remembers, else on this machine.

    Raises UsageError for an option of a cluster on this machine, and Refused when the home is up elsewhere; a command
    that is only `looking` may look anywhere.
    """
    kept = kept_where(home) or Where()
    asked = {
        "target": target,
        "environment": environment,
        "region": region,
        "backend": backend,
        "secrets_provider": secrets_provider,
    }
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    found = msgspec.structs.replace(kept, **given)
    if found.target == "local":
        _refuse_options_of_a_cluster([name for name in given if name != "target"])
    if not looking:
        _refuse_elsewhere(kept, found, home)
    return msgspec.structs.replace(found, up=found.up and found.target == kept.target)


def runs_here(home: Home) -> bool:
    """Whether processes of the home's stack run on this machine."""
    if not home.root.exists():
        return False
    return SupervisorClient(home.root).running() or any(tagged(STACK_TAG, str(home.root)))


def _refuse_options_of_a_cluster(names: list[str]) -> None:
    if names:
        option = {"environment": "env"}.get(names[0], names[0].replace("_", "-"))
        raise UsageError(
            f"--{option} is for a cluster",
            because="the stack of this home is on this machine, where there is one of everything",
            way_out=f"leave --{option} out, or add --target cluster",
        )


def _refuse_elsewhere(kept: Where, found: Where, home: Home) -> None:
    """One home, one stack in one place: its journal and its releases are of that place."""
    if kept.up and kept.target == "cluster" and _place(kept) != _place(found):
        raise _elsewhere(home, f"it is up {shown(kept)}, and {shown(found)} was asked for")
    if found.target == "cluster" and not kept.up and runs_here(home):
        raise _elsewhere(home, f"it is up on this machine, and {shown(found)} was asked for")
    if kept.target != found.target and home.journal.exists() and Journal(home.journal).open_operation():
        raise Refused(
            f"the release in {home.root} is not over",
            because=f"an operation that is open was begun {shown(kept)}, and {shown(found)} was asked for",
            way_out="end it there (`holdfast status` says how), or use another home: --home DIR",
        )


def _place(where: Where) -> tuple[str, ...]:
    return (where.target, where.environment, where.backend, where.secrets_provider)


def _elsewhere(home: Home, because: str) -> Refused:
    way_out = "use another home (--home DIR), or take down what is up there: holdfast down"
    return Refused(f"the stack of {home.root} is up elsewhere", because=because, way_out=way_out)


def shown(where: Where) -> str:
    """In words: `on this machine`, `on the cluster as staging`."""
    if where.target == "local":
        return "on this machine"
    backend = f", state at {where.backend}" if where.backend else ""
    return f"on the cluster as {where.environment}{backend}"
