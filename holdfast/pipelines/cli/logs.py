"""holdfast logs"""

from __future__ import annotations

import click

from holdfast.pipelines.cli.options import HOME


@click.command(
    epilog="\b\nExamples:\n  holdfast logs\n  holdfast logs engine-blue-1 --lines 50\n  holdfast logs edge -f\n"
    "  holdfast logs gateway-green   # on a cluster: of these pods"
)
@HOME
@click.argument("process", required=False)
@click.option(
    "--lines", "-n", default=20, show_default=True, type=click.IntRange(1), help="How many of the last lines."
)
@click.option("--follow", "-f", is_flag=True, help="Go on as the log grows, until Ctrl-C.")
def logs(home: str, process: str | None, lines: int, follow: bool) -> None:
    """Print the end of a process's or pod's log; without a name, of all of them."""
    from holdfast.pipelines.logs import follow_log, log_lines

    for name, line in log_lines(home, process, lines):
        click.echo(f"{name} | {line}" if process is None else line)
    if follow:
        for name, line in follow_log(home, process):
            click.echo(f"{name} | {line}" if process is None else line)
