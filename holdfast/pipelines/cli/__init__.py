"""The command line: `holdfast`. Commands are imported when they are called, so that `--help` is quick."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

import click

from holdfast.errors import EXIT_CODE_HELP, ExitCode, HoldfastError
from holdfast.pipelines.cli.lazy import LazyGroup

EPILOG = f"""\b
Exit codes:
  {EXIT_CODE_HELP}

\b
Examples:
  holdfast verify                        can this ship, and can we get back?
  holdfast up && holdfast release build v1 && holdfast deploy v1
  holdfast deploy v2 --until switch      stop after a step; then resume or abort
  holdfast rollback                      one write, gated by nothing
  holdfast up --target cluster           the same on Kubernetes; the home remembers it
"""

COMMANDS = {
    "up": "holdfast.pipelines.cli.up:up",
    "preview": "holdfast.pipelines.cli.preview:preview",
    "refresh": "holdfast.pipelines.cli.refresh:refresh",
    "status": "holdfast.pipelines.cli.status:status",
    "logs": "holdfast.pipelines.cli.logs:logs",
    "down": "holdfast.pipelines.cli.down:down",
    "release": "holdfast.pipelines.cli.release:release",
    "deploy": "holdfast.pipelines.cli.deploy:deploy",
    "rollback": "holdfast.pipelines.cli.rollback:rollback",
    "promote": "holdfast.pipelines.cli.promote:promote",
    "abort": "holdfast.pipelines.cli.abort:abort",
    "resume": "holdfast.pipelines.cli.resume:resume",
    "history": "holdfast.pipelines.cli.history:history",
    "verify": "holdfast.pipelines.cli.verify:verify",
    "backup": "holdfast.pipelines.cli.backup:backup",
    "restore": "holdfast.pipelines.cli.restore:restore",
    "drill": "holdfast.pipelines.cli.drill:drill",
    "report": "holdfast.pipelines.cli.report:report",
    "completion": "holdfast.pipelines.cli.completion:completion",
}
HELP = {
    "up": "Start the stack: stores, edge, and the colors that were live.",
    "preview": "Say what `up` would do to each object on a cluster.",
    "refresh": "Name what somebody changed by hand on a cluster.",
    "status": "Show the stack and its release in one.",
    "logs": "Print a process's log.",
    "down": "End the stack's processes, or take it off the cluster; data and evidence stay.",
    "release": "Build and list releases.",
    "deploy": "Ship a release blue-green.",
    "rollback": "Bring the traffic back to the color it came from.",
    "promote": "End the hold window now: the old color is retired.",
    "abort": "Undo the open operation.",
    "resume": "Go on with an operation that was paused or cut off.",
    "history": "List the operations, newest last.",
    "verify": "Release, load, faults, rollback, reconciliation: one verdict.",
    "backup": "Back up every store of the stack, or list the backups.",
    "restore": "Restore a backup into a new home, or in place.",
    "drill": "Prove that what is lost can be brought back: RPO, RTO, a verdict.",
    "report": "Show or judge again what a run recorded.",
    "completion": "Print the shell completion script.",
}


@click.group(
    cls=LazyGroup, commands_at=COMMANDS, short_helps=HELP, epilog=EPILOG, context_settings={"max_content_width": 100}
)
@click.version_option(package_name="holdfast", prog_name="holdfast")
def cli() -> None:
    """Can this release ship now, and can we get back?"""


def main() -> None:
    """Run the command line and end the process with one of the exit codes."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; what is printed goes to stdout and stderr."""
    try:
        code = cli.main(args=arguments, prog_name="holdfast", standalone_mode=False)
    except HoldfastError as error:
        return _say(error, arguments)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        return _interrupted(arguments)
    except click.ClickException as error:
        error.show()
        return _tell(error.format_message(), "", "", ExitCode.USAGE, arguments)
    except KeyboardInterrupt:
        return _interrupted(arguments)
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.PASS
    except Exception:  # noqa: BLE001 - whatever it is, the caller gets exit code 70
        return _bug()
    return int(code or 0)


def _say(error: HoldfastError, arguments: list[str]) -> int:
    print(f"error: {error}", file=sys.stderr)
    return _tell(error.what, error.because, error.way_out, error.code, arguments)


def _tell(what: str, because: str, way_out: str, code: ExitCode, arguments: list[str]) -> int:
    """With --json an error is one document on stdout too."""
    if "--json" in arguments:
        from holdfast.pipelines.cli.output import print_json

        print_json({"error": {"what": what, "because": because, "way_out": way_out, "exit_code": int(code)}})
    return code


def _interrupted(arguments: list[str]) -> int:
    print("interrupted: what had begun is in the journal, see `holdfast status`", file=sys.stderr)
    return _tell("interrupted", "Ctrl-C or SIGTERM", "see `holdfast status`", ExitCode.INTERRUPTED, arguments)


def _bug() -> int:
    import traceback

    traceback.print_exc()
    print("error: this is a bug of holdfast; what had begun is in the journal: see `holdfast status`", file=sys.stderr)
    return ExitCode.BUG


def _interrupt(_number: int, _frame: FrameType | None) -> Any:
    """SIGTERM ends a command as Ctrl-C does: by undoing what it had begun."""
    raise KeyboardInterrupt
