"""What an operation's end looks like on stdout."""

from __future__ import annotations

import click

from holdfast.errors import ExitCode
from holdfast.pipelines.cli.output import clock, print_json
from holdfast.pipelines.releases import Done


def print_result(done: Done, *, as_json: bool) -> int:
    """Print how an operation ended; returns the exit code."""
    if as_json:
        print_json(done)
    else:
        click.echo(_text(done))
    return ExitCode.PASS


def _text(done: Done) -> str:
    result = done.result
    where = ", ".join(f"{service} {color}" for service, color in result.placement.items())
    texts = {
        "done": f"{result.version} is live ({where})",
        "undone": f"{result.version} was undone",
        "already live": f"{result.version} is live already",
        "paused": f"{result.version} is paused after {result.step}: `holdfast resume` goes on, `holdfast abort` undoes",
        "holding": f"{result.version} is live ({where}); `holdfast rollback` goes back until "
        f"{clock(result.hold_until or 0)}, `holdfast promote` ends that now",
        "set aside": "the journal files that could not be read were put aside; the live color serves on",
    }
    return f"{texts[result.state]}\nreport: {done.report}"
