"""holdfast promote"""

from __future__ import annotations

import click

from holdfast.pipelines.cli.options import acting


@click.command(epilog="\b\nExample:\n  holdfast promote")
@acting
def promote(stack: str | None, home: str, as_json: bool, quiet: bool) -> int:
    """End the hold window now: the old color is retired, and with it the way back."""
    from holdfast.pipelines.cli.result import print_result
    from holdfast.pipelines.releases import operate

    return print_result(operate(stack, home, "promote", quiet=quiet), as_json=as_json)
