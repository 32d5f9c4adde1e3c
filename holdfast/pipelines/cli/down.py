"""holdfast down"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from holdfast.pipelines.cli.options import CANCEL, provisioning, refuse_misfits

if TYPE_CHECKING:
    from holdfast.pipelines.asked import Asked


@click.command(
    epilog="\b\nExamples:\n  holdfast down\n  holdfast down --data   # forget the stores' data too\n"
    "  holdfast down --gone   # the cluster does not exist any more"
)
@provisioning
@CANCEL
@click.option(
    "--data", is_flag=True, help="Remove the stores' data, ports and the journal too; releases and runs stay."
)
@click.option("--gone", is_flag=True, help="Cluster: it does not exist any more; forget the stack without asking it.")
def down(
    as_json: bool,
    data: bool,
    gone: bool,
    **options: Any,
) -> None:
    """End every process of the stack, or take it off the cluster; data, releases and evidence stay."""
    from holdfast.pipelines.asked import Asked

    asked = Asked(**options)
    where = asked.where()
    refuse_misfits(where.target, of_local={}, of_cluster={"--cancel": asked.cancel, "--gone": gone})
    if where.target == "local":
        _down_here(asked.home, as_json, data)
    else:
        _down_there(asked, as_json, data, gone)


def _down_there(asked: Asked, as_json: bool, data: bool, gone: bool) -> None:
    from holdfast.pipelines.cli.provisioned import print_provisioned
    from holdfast.pipelines.clusters import take_down

    print_provisioned(take_down(asked, data=data, gone=gone), as_json=as_json)


def _down_here(home: str, as_json: bool, data: bool) -> None:
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.stacks import take_down

    ended = take_down(home, data=data)
    if as_json:
        print_json({"ended": ended})
    else:
        click.echo(f"ended {len(ended)} processes" if ended else "nothing was running")
