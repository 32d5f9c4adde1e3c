"""Where built parts of images are kept, outside of the repository; and commands run for them."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from holdfast.errors import EnvironmentFailed


def base() -> Path:
    """${XDG_CACHE_HOME:-~/.cache}/holdfast, shared with scripts/tools."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "holdfast"


def folder() -> Path:
    """The images' part of it; created."""
    found = base() / "images"
    found.mkdir(parents=True, exist_ok=True)
    return found


@contextmanager
def locked() -> Iterator[None]:
    """One build at a time; a second one waits."""
    with (folder() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None, way_out: str) -> str:
    """Run a command to its end and return what it printed. Raises EnvironmentFailed with its last line."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout, env=env)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"it ended with {done.returncode}"]
        raise EnvironmentFailed(f"{Path(argv[0]).name} failed", because="\n    ".join(lines[-4:]), way_out=way_out)
    return done.stdout
