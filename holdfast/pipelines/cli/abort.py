"""holdfast abort"""

from __future__ import annotations

import click

from holdfast.pipelines.cli.options import acting


@click.command(epilog="\b\nExamples:\n  holdfast abort\n  holdfast abort --set-aside   # the journal is corrupt")
@acting
@click.option("--set-aside", is_flag=True, help="Put journal files that cannot be read aside; what is live stays live.")
def abort(stack: str | None, home: str, as_json: bool, quiet: bool, set_aside: bool) -> int:
    """Undo the open operation."""
    from holdfast.pipelines.cli.result import print_result
    from holdfast.pipelines.releases import operate

    verb = "abort --set-aside" if set_aside else "abort"
    return print_result(operate(stack, home, verb, quiet=quiet), as_json=as_json)
