"""holdfast completion"""

from __future__ import annotations

import click


@click.command(epilog='\b\nExample:\n  eval "$(holdfast completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the shell completion script."""
    from click.shell_completion import get_completion_class

    from holdfast.pipelines.cli import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(kind(cli, {}, "holdfast", "_HOLDFAST_COMPLETE").source())
