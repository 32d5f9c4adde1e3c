"""holdfast restore"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.errors import UsageError
from holdfast.pipelines.cli.options import acting

if TYPE_CHECKING:
    from holdfast.pipelines.recovery import RestoreDone


@click.command(
    epilog="\b\nExamples:\n  holdfast restore last --to restored && holdfast up --home restored\n"
    "  holdfast restore last --to here --replace   # then --finish, or --undo\n"
    "  holdfast restore last --to restored --dry-run"
)
@acting
@click.argument("backup", required=False)
@click.option("--to", metavar="HOME|here", help="A new home; or `here`, with --replace.")
@click.option("--replace", is_flag=True, help="With --to here: replace what is there (it is kept until --finish).")
@click.option("--from", "source", metavar="DIR", help="The folder in which backups lie (else backups/ in the home).")
@click.option("--dry-run", is_flag=True, help="Check what can be checked and print the steps; nothing is done.")
@click.option("--resume", is_flag=True, help="Go on with a restore that was cut off.")
@click.option("--undo", is_flag=True, help="Go back: what was there before is there again.")
@click.option("--finish", is_flag=True, help="Drop what a restore in place had replaced.")
def restore(
    stack: str | None,
    home: str,
    as_json: bool,
    quiet: bool,
    backup: str | None,
    to: str | None,
    replace: bool,
    source: str | None,
    dry_run: bool,
    resume: bool,
    undo: bool,
    finish: bool,
) -> None:
    """Restore a backup, by id, path or `last`: into a new home, or in place of what is there."""
    from holdfast.pipelines.cli.output import print_json
    from holdfast.pipelines.recovery import restore, restore_steps, restore_verb

    verbs = [name for name, given in {"resume": resume, "undo": undo, "finish": finish}.items() if given]
    if len(verbs) + bool(backup) != 1 or (backup and not to):
        raise UsageError(
            "what is to be restored is not clear",
            because="a backup and --to are needed, or one of --resume, --undo, --finish alone",
            way_out="holdfast restore last --to NEW-HOME",
        )
    if verbs:
        done = restore_verb(stack, home, verbs[0], quiet=quiet)
    elif dry_run:
        steps = restore_steps(stack, home, str(backup), str(to), source=source)
        if as_json:
            print_json([{"step": name, "does": does, "undo": back} for name, does, back in steps])
        for number, (name, does, back) in enumerate(steps if not as_json else [], 1):
            click.echo(f"{number:2}. {name}: {does}{'; undo: ' + back if back else ''}")
        return
    else:
        done = restore(stack, home, str(backup), str(to), replace=replace, source=source, quiet=quiet)
    if as_json:
        print_json(done)
    else:
        click.echo(_text(done))


def _text(done: RestoreDone) -> str:
    result = done.result
    texts = {
        "held": f"{result.backup} is in place; `holdfast restore --undo` goes back, `holdfast restore --finish` drops "
        "what was there before",
        "done": f"{result.backup} is restored in {result.to}: holdfast up --home {result.to}",
        "undone": f"the restore of {result.backup} was undone",
    }
    if result.to == "here":
        texts["done"] = f"{result.backup} is in place; what was there before is gone"
    return f"{texts[result.state]}\n{done.seconds:.1f} s; report: {done.report}"
