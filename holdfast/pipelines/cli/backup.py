"""holdfast backup"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.pipelines.cli.options import acting

if TYPE_CHECKING:
    from holdfast.pipelines.recovery import BackupLine


@click.command(
    epilog="\b\nExamples:\n  holdfast backup\n  holdfast backup --to /mnt/backups --keep 7\n  holdfast backup --list"
)
@acting
@click.option("--to", metavar="DIR", help="The folder in which backups lie (else backups/ in the home).")
@click.option("--keep", type=int, metavar="N", help="Remove the stack's oldest backups but for N.")
@click.option("--list", "list_", is_flag=True, help="List the backups; take none.")
def backup(
    stack: str | None, home: str, as_json: bool, quiet: bool, to: str | None, keep: int | None, list_: bool
) -> None:
    """Back up every store of the stack: whole and checked, or not there at all."""
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.recovery import backup, backups

    if list_:
        found = backups(home, to=to)
        if as_json:
            print_json(found)
        for one in found if not as_json else []:
            click.echo(_line(one))
        if not found and not as_json:
            click.echo("there is no backup yet: holdfast backup")
        return
    taken, removed = backup(stack, home, to=to, keep=keep, quiet=quiet)
    if as_json:
        print_json({"backup": taken, "removed": removed})
        return
    click.echo(_line(taken))
    if removed:
        click.echo(f"removed {', '.join(removed)}")
    click.echo(f"{taken.path}\nprove that it can be restored: holdfast drill restore")


def _line(one: BackupLine) -> str:
    from holdfast.pipelines.cli.output import clock

    size = f"{one.size / 1e6:.1f} MB"
    return f"{one.id}  {one.stack}  as of {clock(one.at)}: {one.rows} rows, {one.keys} keys, {size}"
