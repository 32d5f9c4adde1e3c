"""holdfast refresh"""

from __future__ import annotations

from typing import Any

import click

from holdfast.pipelines.cli.options import CANCEL, provisioning


@click.command(
    epilog="\b\nExamples:\n  holdfast refresh\n  holdfast refresh --target cluster --env staging\n"
    "  holdfast refresh && holdfast preview   # what was changed by hand, then what `up` would take back"
)
@provisioning
@CANCEL
def refresh(as_json: bool, **options: Any) -> None:
    """Look at the cluster and name what somebody changed by hand. It changes nothing there."""
    from holdfast.pipelines.asked import Asked
    from holdfast.pipelines.cli.provisioned import print_provisioned
    from holdfast.pipelines.clusters import refresh

    print_provisioned(refresh(Asked(**options)), as_json=as_json)
