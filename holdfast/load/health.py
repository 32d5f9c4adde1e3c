"""The health of the load generator itself: how late it starts requests, how long its loop stands still."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from holdfast.load.arrivals import SECOND
from holdfast.measures import nearest_rank

TICK = 0.010
"""Seconds between two looks at the clock: a loop that stood still is found out with this resolution."""


@dataclass(slots=True)
class Health:
    """Counts between two calls of `sample`."""

    last_tick: int
    last_sample: int
    last_cpu: float = 0.0
    stall: int = 0
    worst_stall: int = 0

    def tick(self, at: int) -> None:
        """The loop got here at `at` (ns); how much later than it should."""
        self.stall = max(self.stall, at - self.last_tick - round(TICK * SECOND))
        self.last_tick = at

    def sample(self, at: int, lags: list[int]) -> dict[str, Any]:
        """Return this interval's lag, stall and CPU share (1.0 is one core), and begin the next."""
        cpu = time.process_time()
        wall = max(at - self.last_sample, 1) / SECOND
        figures = {
            "lag_p99_ms": nearest_rank(lags, 0.99) / 1e6,
            "loop_stall_ms": self.stall / 1e6,
            "cpu_share": (cpu - self.last_cpu) / wall,
        }
        self.worst_stall = max(self.worst_stall, self.stall)
        self.last_sample, self.last_cpu, self.stall = at, cpu, 0
        return figures
