"""Arrivals: when requests are meant to start. Pure schedules of offsets from the start of the load, in nanoseconds.

The schedule never looks at answers (an open model): a slow server meets the same arrivals as a fast one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Annotated

import msgspec

SECOND = 1_000_000_000

Rate = Annotated[float, msgspec.Meta(gt=0, le=100_000)]
"""Requests a second."""


class Constant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="constant", tag_field="kind"):
    """Evenly spaced starts: the k-th at k / rate seconds."""

    rate: Rate

    def offsets(self, seconds: float, seed: str) -> Iterator[int]:
        """Yield each start in [0, seconds), in nanoseconds. `seed` is not used: nothing here is random."""
        count = round(seconds * self.rate)
        return (round(k * SECOND / self.rate) for k in range(count))


class Poisson(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="poisson", tag_field="kind"):
    """Independent users: gaps are exponential with mean 1 / rate, so starts come in clumps, as real ones do."""

    rate: Rate

    def offsets(self, seconds: float, seed: str) -> Iterator[int]:
        """Yield each start in [0, seconds), in nanoseconds; the same `seed` gives the same starts."""
        gap = random.Random(seed).expovariate
        at = gap(self.rate)
        while at < seconds:
            yield round(at * SECOND)
            at += gap(self.rate)


Arrivals = Constant | Poisson
