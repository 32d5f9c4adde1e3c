"""docs/release.md, written from the protocols themselves, so that the page cannot differ from what runs."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.infra.bluegreen.context import Context
from holdfast.infra.bluegreen.release import HOLD, RELEASE
from holdfast.infra.bluegreen.rollback import ROLLBACK
from holdfast.journal import Step, nothing

HEAD = """# The release protocol

<!-- written by scripts/gen from holdfast/infra/bluegreen; do not edit -->

Each step's intent is on disk before it acts, and that it is done afterwards. Kill holdfast anywhere: the next command
goes on or undoes. `--until STEP` stops after a step; `holdfast resume` goes on, `holdfast abort` undoes; `--dry-run`
prints this list. When a step fails, or a gate says *fail* or *unknown*, everything that was started is undone, last
first.
"""
TAIL = f"""
With `--weights 5,25,50,100` there are two more steps before `switch` for each share: `shift-5` moves 5 % of the
traffic by one write, `watch-5` watches the new color under it; both are undone like `switch`.

After `{HOLD}` a release waits: `holdfast rollback` goes back by one write, `holdfast promote` ends the window now, and
when the window is over the stack's supervisor ends the old color by itself, whether a command runs or not.
"""


def release_page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, "## deploy", "", *_table(RELEASE), TAIL, "## rollback", "", *_table(ROLLBACK), ""])


def _table(steps: Sequence[Step[Context]]) -> list[str]:
    rows = ["| | step | does | undo |", "|---|---|---|---|"]
    for number, step in enumerate(steps, 1):
        undo = "" if step.undo is nothing else said(step.undo.__doc__)
        rows.append(f"| {number} | {step.name} | {said(step.act.__doc__)} | {undo} |")
    return rows


def said(doc: str | None) -> str:
    """A docstring as one line."""
    return " ".join((doc or "").split())
