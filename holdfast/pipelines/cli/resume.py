"""holdfast resume"""

from __future__ import annotations

import click

from holdfast.pipelines.cli.options import acting


@click.command(epilog="\b\nExample:\n  holdfast resume")
@acting
def resume(stack: str | None, home: str, as_json: bool, quiet: bool) -> int:
    """Go on with an operation that was paused or cut off by a kill."""
    from holdfast.pipelines.cli.result import print_result
    from holdfast.pipelines.releases import operate

    return print_result(operate(stack, home, "resume", quiet=quiet), as_json=as_json)
