"""The client programs of the stores, run as children that end with whoever started them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from holdfast.errors import EnvironmentFailed

LONGEST_S = 6 * 3600.0
"""No dump, snapshot or load may take longer: it is stuck then."""
TELL_S = 3.0
"""How often a program that runs for long is told of."""


def mortal(argv: Sequence[str]) -> list[str]:
    """The command so that its process is killed when ours ends, however it ends (prctl(2), PR_SET_PDEATHSIG)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *argv] if setpriv else list(argv)


def run_program(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    doing: str,
    way_out: str,
    meanwhile: Callable[[], None] = lambda: None,
) -> str:
    """Run a program to its end; returns its stdout. Raises EnvironmentFailed with what it said last.

    `meanwhile` is called every few seconds, to tell of progress.
    """
    name, began = Path(argv[0]).name, time.monotonic()
    whole = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", **env}
    process = subprocess.Popen(
        mortal(argv), env=whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    try:
        while True:
            try:
                out, err = process.communicate(timeout=TELL_S)
                break
            except subprocess.TimeoutExpired as error:
                if time.monotonic() > began + LONGEST_S:
                    because = f"{name} did not end within {LONGEST_S:g} s"
                    raise EnvironmentFailed(f"{doing} was not done", because=because, way_out=way_out) from error
                meanwhile()
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        lines = [line for line in (err or out).splitlines() if line.strip()]
        because = "; ".join(lines[:2]) or f"{name} ended with {process.returncode}"
        raise EnvironmentFailed(f"{doing} was not done", because=because, way_out=way_out)
    return out
