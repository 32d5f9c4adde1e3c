"""holdfast drill restore | failover"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.pipelines.cli.options import TARGET, acting

if TYPE_CHECKING:
    from holdfast.infra.targets.kept import TargetName


@click.group()
def drill() -> None:
    """Prove on real parts that what is lost can be brought back."""


@drill.command(
    epilog="\b\nExamples:\n  holdfast drill restore\n  holdfast drill restore --max-rto 30s --json\n"
    "  holdfast drill restore --plant changed-row   # see that it is caught"
)
@acting
@click.option("--plant", default="", help="Corrupt something: the verdict must not be pass.")
@click.option("--rate", type=click.FloatRange(1, 2000), default=100, show_default=True, help="Writes a second.")
@click.option("--after", default="2s", show_default=True, metavar="TIME", help="From the backup to the loss.")
@click.option("--max-rpo", default="60s", show_default=True, metavar="TIME", help="The recovery point must be nearer.")
@click.option("--max-rto", default="60s", show_default=True, metavar="TIME", help="The recovery must be quicker.")
def restore(
    stack: str | None,
    home: str,
    as_json: bool,
    quiet: bool,
    plant: str,
    rate: float,
    after: str,
    max_rpo: str,
    max_rto: str,
) -> int:
    """Back up the running stack while writes go on, restore it beside, compare row by row; prints RPO and RTO."""
    from holdfast.infra.recovery.drill import DrillOptions
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.drills import DrillLimits, drill_restore
    from holdfast.pipelines.releases import duration
    from holdfast.report.text import summary

    options = DrillOptions(plant=plant, rate=rate, after_s=duration(after))
    limits = DrillLimits(rpo_s=duration(max_rpo), rto_s=duration(max_rto))
    report, path = drill_restore(stack, home, options, limits, quiet=quiet)
    if as_json:
        print_json(report)
    else:
        click.echo(summary(report, path))
    return int(report.exit_code)


@drill.command(
    epilog="\b\nExamples:\n  holdfast drill failover\n  holdfast drill failover --target cluster --max-rpo 1s --json\n"
    "  holdfast drill failover --plant stalled-replica   # see that it is caught"
)
@acting
@click.option("--plant", default="", help="Break something: the verdict must not be pass.")
@click.option("--rate", type=click.FloatRange(1, 2000), default=100, show_default=True, help="Writes a second.")
@click.option("--before", default="3s", show_default=True, metavar="TIME", help="Writes before the cut.")
@TARGET
@click.option("--image", default="", help="On a cluster: the stores' image, instead of the one that the stack names.")
@click.option("--max-rpo", default="5s", show_default=True, metavar="TIME", help="No more may be lost.")
@click.option("--max-rto", default="60s", show_default=True, metavar="TIME", help="The other region must lead by then.")
def failover(
    stack: str | None,
    home: str,
    as_json: bool,
    quiet: bool,
    plant: str,
    rate: float,
    before: str,
    target: TargetName | None,
    image: str,
    max_rpo: str,
    max_rto: str,
) -> int:
    """Cut the primary region off, promote the secondary, compare every acknowledged write, and go back to normal.

    The regions are the drill's own, with the stack's stores: servers on this machine, or two namespaces on a cluster.
    """
    from holdfast.infra.recovery.failover import FailoverOptions
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.drills import DrillLimits, drill_failover
    from holdfast.pipelines.releases import duration
    from holdfast.report.text import summary

    options = FailoverOptions(plant=plant, rate=rate, before_s=duration(before))
    limits = DrillLimits(rpo_s=duration(max_rpo), rto_s=duration(max_rto))
    report, path = drill_failover(stack, home, options, limits, target=target, image=image, quiet=quiet)
    if as_json:
        print_json(report)
    else:
        click.echo(summary(report, path))
    return int(report.exit_code)
