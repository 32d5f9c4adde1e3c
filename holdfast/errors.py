"""Exit codes and errors: every error says what happened, because of what, and the way out."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command tells its caller. A refusal is never 0."""

    PASS = 0
    """Everything asked for happened and every gate passed."""
    FAIL = 1
    """A gate failed, or a release was rolled back."""
    USAGE = 2
    """The command line or a configuration file is wrong; nothing was done."""
    UNKNOWN = 3
    """There is no verdict: no data, an unhealthy generator, the environment failed in mid-run."""
    REFUSED = 4
    """Not done because it must not be done now: lock held, unsafe, capability missing, nothing to roll back to."""
    BUG = 70
    """A defect of holdfast itself."""
    INTERRUPTED = 130
    """Stopped by a signal; what had begun was undone or written down."""


EXIT_CODE_HELP = "0 pass · 1 fail · 2 usage or config · 3 unknown · 4 refused · 70 a bug of holdfast · 130 interrupted"


class HoldfastError(Exception):
    """An error that a person can act on: `what` happened, `because` of what, and the `way_out`."""

    code = ExitCode.BUG

    def __init__(self, what: str, because: str = "", way_out: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.because = because
        self.way_out = way_out

    def __str__(self) -> str:
        lines = [self.what]
        if self.because:
            lines.append(f"  because: {self.because}")
        if self.way_out:
            lines.append(f"  way out: {self.way_out}")
        return "\n".join(lines)


class UsageError(HoldfastError):
    """The command line or a configuration file is wrong."""

    code = ExitCode.USAGE


class Refused(HoldfastError):
    """holdfast will not do this now; nothing was changed."""

    code = ExitCode.REFUSED


class GateFailed(HoldfastError):
    """A gate said no."""

    code = ExitCode.FAIL


class GateUnknown(HoldfastError):
    """A gate could not say: there was no evidence, or it could not be trusted."""

    code = ExitCode.UNKNOWN


class EnvironmentFailed(HoldfastError):
    """A part of the environment (a process, a disk, a port) failed while a run was going on."""

    code = ExitCode.UNKNOWN


class Interrupted(HoldfastError):
    """Ctrl-C or SIGTERM."""

    code = ExitCode.INTERRUPTED
