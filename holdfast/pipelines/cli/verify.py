"""holdfast verify"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.pipelines.cli.options import AS_JSON, HOME, QUIET, STACK

if TYPE_CHECKING:
    from holdfast.infra.targets.kept import TargetName


@click.command(
    epilog="\b\nExamples:\n  holdfast verify\n  holdfast verify --json > report.json\n"
    "  holdfast verify --target cluster   # on Kubernetes\n"
    "  holdfast verify --plant acks-without-effect   # see that it is caught"
)
@STACK
@HOME
@AS_JSON
@QUIET
@click.option(
    "--target",
    type=click.Choice(["local", "cluster"]),
    default="local",
    show_default=True,
    help="Where the throw-away stack runs.",
)
@click.option("--from", "source", help="The folder with the services and their release.yaml.")
@click.option("--plant", default="", help="Make release v2 a planted one: the verdict must not be pass.")
@click.option("--short", is_flag=True, help="Shorter phases, for CI.")
@click.option("--rate", type=click.FloatRange(1, 5000), help="Requests a second (the profile's own: 200).")
@click.option("--seed", type=int, help="Arrivals and mix again as in an earlier run.")
@click.option("--keep", is_flag=True, help="Keep the stack's data after the run, not only its evidence.")
def verify(
    stack: str | None,
    home: str,
    as_json: bool,
    quiet: bool,
    target: TargetName,
    source: str | None,
    plant: str,
    short: bool,
    rate: float | None,
    seed: int | None,
    keep: bool,
) -> int:
    """Can this ship, and can we get back? A stack of its own, two releases under load, a fault, back and forward."""
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.verify import VerifyOptions, verify
    from holdfast.report.text import summary

    options = VerifyOptions(
        stack=stack,
        home=home,
        target=target,
        source=source,
        plant=plant,
        short=short,
        rate=rate,
        seed=seed,
        keep=keep,
        quiet=quiet,
    )
    report, path = verify(options)
    if as_json:
        print_json(report)
    else:
        click.echo(summary(report, path))
    return int(report.exit_code)
