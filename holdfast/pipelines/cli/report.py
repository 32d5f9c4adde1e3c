"""holdfast report show | judge"""

from __future__ import annotations

import click

from holdfast.pipelines.cli.options import AS_JSON, HOME


@click.group()
def report() -> None:
    """Show or judge again what a run recorded."""


@report.command(epilog="\b\nExamples:\n  holdfast report show\n  holdfast report show 20260101-120000-abcdef")
@HOME
@AS_JSON
@click.argument("run", required=False)
def show(home: str, as_json: bool, run: str | None) -> None:
    """Print the report of a run; without a name, of the last one."""
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.reports import stored_report
    from holdfast.report.text import summary

    found, path = stored_report(home, run)
    if as_json:
        print_json(found)
    else:
        click.echo(summary(found, path))


@report.command(epilog="\b\nExample:\n  holdfast report judge 20260101-120000-abcdef")
@HOME
@AS_JSON
@click.argument("run", required=False)
def judge(home: str, as_json: bool, run: str | None) -> int:
    """Judge again what was recorded, without the stack, and write the report anew."""
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.reports import judge_again
    from holdfast.report.text import summary

    found, path = judge_again(home, run)
    if as_json:
        print_json(found)
    else:
        click.echo(summary(found, path))
    return int(found.exit_code)
