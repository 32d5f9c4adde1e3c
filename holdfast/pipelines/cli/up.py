"""holdfast up"""

from __future__ import annotations

import shlex

import click

from holdfast.pipelines.cli.options import common


@click.command(
    epilog="\b\nExamples:\n  holdfast up\n  holdfast up --links-argv 'python relay.py'\n  holdfast up --new-ports"
)
@common
@click.option("--links-argv", help="A command that serves the stack's links; it gets the link table's path.")
@click.option("--direct-links", is_flag=True, help="Serve the links no more: services reach the stores directly.")
@click.option("--new-ports", is_flag=True, help="Choose other ports (the stack must be down).")
def up(
    stack: str | None, home: str, as_json: bool, links_argv: str | None, direct_links: bool, new_ports: bool
) -> None:
    """Start the stack: stores, edge, and the colors that were live."""
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.stacks import bring_up

    argv = shlex.split(links_argv) if links_argv else [] if direct_links else None
    found = bring_up(stack, home, links_argv=argv, new_ports=new_ports)
    if as_json:
        print_json(found)
        return
    click.echo(f"{found.stack} is up at {found.edge_url}")
    if not found.services:
        click.echo("nothing is released yet: holdfast release build v1 && holdfast deploy v1")
