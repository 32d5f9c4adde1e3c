"""holdfast history"""

from __future__ import annotations

import click

from holdfast.pipelines.cli.options import AS_JSON, HOME


@click.command(epilog="\b\nExample:\n  holdfast history --json")
@HOME
@AS_JSON
def history(home: str, as_json: bool) -> None:
    """List the operations, newest last: what, when, how it ended, why."""
    from holdfast.pipelines.cli.output import clock, print_json
    from holdfast.pipelines.releases import operation_history

    found = operation_history(home)
    if as_json:
        print_json(found)
        return
    for one in found:
        because = f" — {one.because.splitlines()[0]}" if one.because else ""
        click.echo(f"{clock(one.began)}  {one.name} {one.version}: {one.outcome or 'open'}{because}")
    if not found:
        click.echo("nothing was deployed yet")
