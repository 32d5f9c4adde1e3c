"""The options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

STACK = click.option(
    "--stack", help="A stack's name, or the path of its YAML (else the one brought up here, else sparkle)."
)
HOME = click.option("--home", default=".holdfast", show_default=True, help="Where the stack and its evidence live.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="No progress on stderr.")


def common(command: F) -> F:
    """--stack, --home and --json."""
    return STACK(HOME(AS_JSON(command)))


def acting(command: F) -> F:
    """The common options and --quiet, for commands that show progress."""
    return common(QUIET(command))
