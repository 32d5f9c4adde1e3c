"""The client programs of the stores, run as children that end with whoever started them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from holdfast.errors import EnvironmentFailed

LONGEST_S = 6 * 3600.0
"""No dump, snapshot or load may take longer: it is stuck then."""


def mortal(argv: Sequence[str]) -> list[str]:
    """The command so that its process is killed when ours ends, however it ends (prctl(2), PR_SET_PDEATHSIG)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *argv] if setpriv else list(argv)


def run_program(argv: Sequence[str], env: Mapping[str, str], *, doing: str, way_out: str) -> str:
    """Run a program to its end; returns its stdout. Raises EnvironmentFailed with what it said last."""
    name = Path(argv[0]).name
    try:
        done = subprocess.run(
            mortal(argv),
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", **env},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFailed(
            f"{doing} was not done", because=f"{name} did not end within {LONGEST_S:g} s", way_out=way_out
        ) from error
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        because = "; ".join(lines[:2]) or f"{name} ended with {done.returncode}"
        raise EnvironmentFailed(f"{doing} was not done", because=because, way_out=way_out)
    return done.stdout
