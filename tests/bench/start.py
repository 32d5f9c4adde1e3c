"""How long a person waits: `holdfast --help`, up in a fresh home, release build, deploy until its switch, down.

Each is the command line itself, timed from outside. `--help` runs in turns with a bare `python -c pass` of the same
interpreter, so that it can be told what of it is ours.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench._result import Result, tell

from holdfast.infra.home import home_at
from holdfast.infra.release import remove_releases
from holdfast.run import RunInfo, read_history
from holdfast.timeline import points

HOLDFAST = Path(sys.executable).with_name("holdfast")
LONGEST_S = 180
LIMITS = {"help_ms": 150.0, "up_s": 10.0, "down_s": 5.0}


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/bench start", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=15, help="runs of --help, default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="of up, build, deploy, down, default: %(default)s")
    given = parser.parse_args()
    bare, ours = _help_ms(given.times)
    rounds = [_round(number) for number in range(1, given.rounds + 1)]
    figures = figures_of(ours, rounds)
    rivals = {"bare_python": {"help_ms": round(median(bare), 1), "ratio": round(median(ours) / median(bare), 1)}}
    return Result("start", figures, rivals, shortfalls(figures)).finish()


def figures_of(helps_ms: Sequence[float], rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Medians; the longest beside them."""
    longest = {f"{name}_max": round(max(each[name] for each in rounds), 2) for name in rounds[0]}
    return {
        "help_ms": round(median(helps_ms), 1),
        "help_ms_max": round(max(helps_ms), 1),
        **{name: round(median(each[name] for each in rounds), 2) for name in rounds[0]},
        **longest,
        "rounds": len(rounds),
    }


def shortfalls(figures: dict[str, Any]) -> list[str]:
    """What takes longer than it may."""
    return [f"{name} is {figures[name]} (limit {limit:g})" for name, limit in LIMITS.items() if figures[name] > limit]


def _help_ms(times: int) -> tuple[list[float], list[float]]:
    """Wall time of a bare interpreter and of `holdfast --help`, in turns; one of each is not counted."""
    bare, ours = [], []
    for _ in range(times + 1):
        bare.append(_seconds([sys.executable, "-c", "pass"]) * 1000)
        ours.append(_seconds([str(HOLDFAST), "--help"]) * 1000)
    tell(f"{times} times --help: median {median(ours[1:]):.0f} ms")
    return bare[1:], ours[1:]


def _round(number: int) -> dict[str, float]:
    """One life of a stack in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-", ignore_cleanup_errors=True) as folder:
        home = home_at(folder)
        try:
            took = {
                "up_s": _seconds([str(HOLDFAST), "up", "--home", folder]),
                "release_build_s": _seconds([str(HOLDFAST), "release", "build", "v1", "--home", folder]),
                "deploy_s": _seconds([str(HOLDFAST), "deploy", "v1", "--quiet", "--home", folder]),
            }
            took["deploy_until_switch_s"] = _until_switch(home.runs)
        finally:
            down_s = _seconds([str(HOLDFAST), "down", "--home", folder])
            remove_releases(home.releases)
        tell(f"round {number}: up {took['up_s']:.1f} s, deploy {took['deploy_s']:.1f} s, down {down_s:.1f} s")
        return {**took, "down_s": down_s}


def _until_switch(runs: Path) -> float:
    """Seconds from the start of the deploy's run to the write of its routes."""
    history = read_history(max(runs.iterdir()))
    info: RunInfo = history.info
    return float(points(history.events, "switch")[0].data["written"] - info.started) / 1e9


def _seconds(argv: list[str]) -> float:
    """How long a command takes. Raises CalledProcessError, with what it said, when it fails."""
    begun = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LONGEST_S, check=False, env=_environment())
    took = time.monotonic() - begun
    if done.returncode:
        tell(done.stderr)
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
    return took


def _environment() -> dict[str, str]:
    """The caller's, without the path by which this bench was found."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


if __name__ == "__main__":
    sys.exit(main())
