"""A latency histogram: HDR, 1 µs to 120 s, three significant digits, so a percentile is right to 0.1 %."""

from __future__ import annotations

from hdrh.histogram import HdrHistogram

LOWEST_US = 1
HIGHEST_US = 120_000_000
DIGITS = 3


class Histogram:
    """Records nanoseconds, answers in milliseconds. Memory does not grow with the number of values (about 140 kB)."""

    def __init__(self) -> None:
        self._hdr = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
        self._record = self._hdr.record_value

    def record(self, nanoseconds: int) -> None:
        """Record one duration; what lies outside of 1 µs to 120 s is recorded as the nearest bound."""
        self._record(min(max(nanoseconds // 1000, LOWEST_US), HIGHEST_US))

    def add(self, other: Histogram) -> None:
        """Add all values of `other`, without loss."""
        self._hdr.add(other._hdr)

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return int(self._hdr.get_total_count())

    def percentile_ms(self, percent: float) -> float:
        """The value in ms that `percent` (0 to 100) of the values do not exceed; 0.0 when nothing was recorded."""
        return float(self._hdr.get_value_at_percentile(percent)) / 1000 if self.count else 0.0
