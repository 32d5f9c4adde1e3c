"""holdfast up"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from holdfast.pipelines.cli.options import CANCEL, provisioning, refuse_misfits

if TYPE_CHECKING:
    from holdfast.pipelines.asked import Asked


@click.command(
    epilog="\b\nExamples:\n  holdfast up\n  holdfast up --links-argv 'python relay.py'\n  holdfast up --new-ports\n"
    "  holdfast up --target cluster                    # KUBECONFIG's; --env staging for another environment\n"
    "  holdfast up --target cluster --stack agno --no-wait   # say which images run and which cannot be pulled"
)
@provisioning
@click.option("--no-wait", is_flag=True, help="Cluster: be done when the API server has accepted everything.")
@click.option(
    "--settle", type=click.FloatRange(0, 600), metavar="S", help="With --no-wait: how long to look at the images (20)."
)
@click.option("--refresh", is_flag=True, help="Cluster: look first what somebody changed by hand.")
@CANCEL
@click.option("--links-argv", help="Here: a command that serves the stack's links; it gets the link table's path.")
@click.option("--direct-links", is_flag=True, help="Here: serve the links no more: services reach the stores directly.")
@click.option("--new-ports", is_flag=True, help="Here: choose other ports (the stack must be down).")
def up(
    as_json: bool,
    no_wait: bool,
    settle: float | None,
    refresh: bool,
    links_argv: str | None,
    direct_links: bool,
    new_ports: bool,
    **options: Any,
) -> None:
    """Start the stack: stores, edge, and the colors that were live."""
    from holdfast.pipelines.asked import Asked

    asked = Asked(**options)
    where = asked.where()
    of_local = {"--links-argv": links_argv, "--direct-links": direct_links, "--new-ports": new_ports}
    of_cluster = {"--no-wait": no_wait, "--settle": settle, "--refresh": refresh, "--cancel": asked.cancel}
    refuse_misfits(where.target, of_local=of_local, of_cluster=of_cluster)
    if settle is not None and not no_wait:
        raise click.UsageError("--settle is for --no-wait: an up that waits looks at the images until all run")
    if where.target == "local":
        argv = shlex.split(links_argv) if links_argv else [] if direct_links else None
        _up_here(asked, as_json, argv, new_ports)
    else:
        _up_there(asked, as_json, not no_wait, refresh, settle)


def _up_there(asked: Asked, as_json: bool, wait: bool, refresh: bool, settle: float | None) -> None:
    from holdfast.pipelines.cli.provisioned import print_provisioned
    from holdfast.pipelines.clusters import SETTLE_S, bring_up

    done = bring_up(asked, wait=wait, refresh=refresh, settle_s=SETTLE_S if settle is None else settle)
    print_provisioned(done, as_json=as_json)


def _up_here(asked: Asked, as_json: bool, argv: list[str] | None, new_ports: bool) -> None:
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.stacks import bring_up

    found = bring_up(asked.stack, asked.home, links_argv=argv, new_ports=new_ports)
    if as_json:
        print_json(found)
        return
    click.echo(f"{found.stack} is up at {found.edge_url}")
    if not found.services:
        click.echo("nothing is released yet: holdfast release build v1 && holdfast deploy v1")
