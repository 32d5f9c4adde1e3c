"""holdfast rollback"""

from __future__ import annotations

import click

from holdfast.pipelines.cli.options import acting


@click.command(epilog="\b\nExample:\n  holdfast rollback")
@acting
def rollback(stack: str | None, home: str, as_json: bool, quiet: bool) -> int:
    """Bring the traffic back to the color it came from: one write, gated by nothing."""
    from holdfast.pipelines.cli.result import print_result
    from holdfast.pipelines.releases import operate

    return print_result(operate(stack, home, "rollback", quiet=quiet), as_json=as_json)
