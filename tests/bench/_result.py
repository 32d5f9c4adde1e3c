"""How every bench ends: one JSON object as the last line of stdout, and the exit code 0 when it is ok."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.measures import nearest_rank

BEGUN = time.monotonic()


@dataclass
class Result:
    """What a bench found. `short` holds each promise that was not kept, in words; none: the bench is ok."""

    bench: str
    figures: dict[str, Any]
    rivals: dict[str, Any]
    short: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The JSON object, on one line."""
        told = {"bench": self.bench, "ok": not self.short, "figures": self.figures, "rivals": self.rivals}
        return json.dumps({**told, **({"short": self.short} if self.short else {}), "machine": machine()})

    def finish(self) -> int:
        """Print it; return the exit code."""
        for reason in self.short:
            tell(f"not ok: {reason}")
        print(self.line, flush=True)
        return 1 if self.short else 0


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(f"{time.monotonic() - BEGUN:7.1f} s  {text}", file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What the figures were measured on. `load` is the load average now (1, 5, 15 min), this bench included."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "load": [round(each, 2) for each in os.getloadavg()],
    }


def percentiles_ms(nanoseconds: Sequence[int]) -> dict[str, float]:
    """p50, p99 and max in ms, by nearest rank."""
    return {
        "p50_ms": milliseconds(nearest_rank(nanoseconds, 0.50)),
        "p99_ms": milliseconds(nearest_rank(nanoseconds, 0.99)),
        "max_ms": milliseconds(max(nanoseconds, default=0)),
    }


def milliseconds(nanoseconds: float) -> float:
    """Nanoseconds as ms, to the µs."""
    return round(nanoseconds / 1e6, 3)
