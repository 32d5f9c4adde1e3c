"""The options that commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from holdfast.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

STACK = click.option(
    "--stack", help="A stack's name, or the path of its YAML (else the one brought up here, else sparkle)."
)
HOME = click.option("--home", default=".holdfast", show_default=True, help="Where the stack and its evidence live.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
TARGET = click.option(
    "--target",
    type=click.Choice(["local", "cluster"]),
    help="This machine or a cluster (else where the stack was brought up from here, else this machine).",
)
ENVIRONMENT = click.option(
    "--env",
    "environment",
    type=click.Choice(["dev", "staging", "prod"]),
    help="The environment on the cluster (else the one brought up from here, else dev).",
)
BACKEND = click.option(
    "--backend", metavar="URL", help="Where Pulumi keeps its state, as s3://… (else files under the home)."
)
SECRETS_PROVIDER = click.option(
    "--secrets-provider", metavar="URL", help="What seals secrets, as awskms://… (else a passphrase in the home)."
)
CANCEL = click.option("--cancel", is_flag=True, help="End the lock on Pulumi's state first, whoever has it.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")


def common(command: F) -> F:
    """--stack, --home and --json."""
    return STACK(HOME(AS_JSON(command)))


def acting(command: F) -> F:
    """The common options and --quiet, for commands that show progress."""
    return common(QUIET(command))


def placed(command: F) -> F:
    """--target and --env."""
    return TARGET(ENVIRONMENT(command))


def provisioning(command: F) -> F:
    """What the commands that have Pulumi do something share."""
    return acting(placed(BACKEND(SECRETS_PROVIDER(command))))


def refuse_misfits(target: str, *, of_local: Mapping[str, object], of_cluster: Mapping[str, object]) -> None:
    """Refuse an option that is given (not None, not False) and is of the other target."""
    misfits = of_cluster if target == "local" else of_local
    given = [name for name, value in misfits.items() if value is not None and value is not False]
    if given:
        where = "on a cluster" if target == "local" else "on this machine"
        other = "cluster" if target == "local" else "local"
        raise UsageError(
            f"{given[0]} is for a stack {where}",
            because=f"this one is {'on this machine' if target == 'local' else 'on a cluster'}",
            way_out=f"leave {given[0]} out, or add --target {other}",
        )
