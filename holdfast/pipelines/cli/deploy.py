"""holdfast deploy"""

from __future__ import annotations

import click

from holdfast.pipelines.cli.options import acting


@click.command(
    epilog="\b\nExamples:\n  holdfast deploy v2\n  holdfast deploy v2 --service engine --hold 10m\n"
    "  holdfast deploy v2 --weights 5,25,50,100\n  holdfast deploy v2 --until prove-idle\n"
    "  holdfast deploy v2 --dry-run"
)
@acting
@click.argument("version")
@click.option("--service", "services", multiple=True, help="Release this service only; may be repeated.")
@click.option("--until", metavar="STEP", help="Stop after a step; `resume` goes on, `abort` undoes.")
@click.option("--dry-run", is_flag=True, help="Check what can be checked and print the steps; nothing is done.")
@click.option("--weights", metavar="LIST", help="Move the traffic in steps of percent, like 5,25,50,100.")
@click.option("--hold", metavar="TIME", help="How long the old color stays, like 10m (the stack's own: 1h).")
def deploy(
    stack: str | None,
    home: str,
    as_json: bool,
    quiet: bool,
    version: str,
    services: tuple[str, ...],
    until: str | None,
    dry_run: bool,
    weights: str | None,
    hold: str | None,
) -> int:
    """Ship a release blue-green: prove it, switch, watch, hold the way back open."""
    from holdfast.infra.bluegreen.gradual import parse_shares
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.cli.result import print_result
    from holdfast.pipelines.releases import deploy, dry_run_steps, duration

    shares = parse_shares(weights) if weights is not None else []
    hold_s = duration(hold) if hold is not None else None
    if dry_run:
        steps = dry_run_steps(stack, home, version, services=services, shares=shares, until=until)
        if as_json:
            print_json([{"step": name, "does": does, "undo": undo} for name, does, undo in steps])
        else:
            for number, (name, does, undo) in enumerate(steps, 1):
                click.echo(f"{number:2}. {name}: {does}{'; undo: ' + undo if undo else ''}")
        return 0
    done = deploy(stack, home, version, services=services, until=until, hold_s=hold_s, shares=shares, quiet=quiet)
    return print_result(done, as_json=as_json)
