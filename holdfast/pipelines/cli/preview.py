"""holdfast preview"""

from __future__ import annotations

from typing import Any

import click

from holdfast.pipelines.cli.options import provisioning


@click.command(
    epilog="\b\nExamples:\n  holdfast preview --target cluster\n"
    "  holdfast preview --target cluster --stack agno --env prod\n"
    "  holdfast preview --json   # every object with its region and operation"
)
@provisioning
def preview(as_json: bool, **options: Any) -> None:
    """Say what `up` would do to each object on the cluster. It changes nothing."""
    from holdfast.pipelines.asked import Asked
    from holdfast.pipelines.cli.provisioned import print_provisioned
    from holdfast.pipelines.clusters import preview

    print_provisioned(preview(Asked(**options)), as_json=as_json)
