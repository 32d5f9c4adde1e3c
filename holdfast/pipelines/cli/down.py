"""holdfast down"""

from __future__ import annotations

import click

from holdfast.pipelines.cli.options import AS_JSON, HOME


@click.command(epilog="\b\nExamples:\n  holdfast down\n  holdfast down --data   # forget the stores' data too")
@HOME
@AS_JSON
@click.option(
    "--data", is_flag=True, help="Remove the stores' data, ports and the journal too; releases and runs stay."
)
def down(home: str, as_json: bool, data: bool) -> None:
    """End every process of the stack; data, releases and evidence stay."""
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.stacks import take_down

    ended = take_down(home, data=data)
    if as_json:
        print_json({"ended": ended})
    else:
        click.echo(f"ended {len(ended)} processes" if ended else "nothing was running")
