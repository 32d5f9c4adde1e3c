"""The histogram is right to 0.1 %, where ordinary buckets are not."""

from __future__ import annotations

import random

import pytest

from holdfast.load.histogram import Histogram
from holdfast.measures import nearest_rank

MS = 1_000_000


@pytest.mark.parametrize("percent", [50, 90, 95, 99, 99.9])
def test_percentiles_of_a_bimodal_target_are_right_to_a_thousandth(percent: float) -> None:
    dice = random.Random(3)
    values = [round(dice.gauss(105 if dice.random() < 0.9 else 1049, 0.8) * MS) for _ in range(6000)]
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    exact = nearest_rank(values, percent / 100) / MS
    assert histogram.percentile_ms(percent) == pytest.approx(exact, rel=0.001)
    assert histogram.count == 6000


def test_values_beyond_its_range_count_as_its_bounds() -> None:
    histogram = Histogram()
    histogram.record(-5)
    histogram.record(400_000 * MS)
    assert histogram.percentile_ms(1) == 0.001
    assert histogram.percentile_ms(100) == pytest.approx(120_000, rel=0.001)


def test_nothing_recorded_is_zero() -> None:
    assert Histogram().percentile_ms(99) == 0.0


def test_adding_loses_nothing() -> None:
    one, other, both = Histogram(), Histogram(), Histogram()
    for k in range(1000):
        (one if k % 3 else other).record(k * MS)
        both.record(k * MS)
    one.add(other)
    assert [one.percentile_ms(p) for p in range(1, 101)] == [both.percentile_ms(p) for p in range(1, 101)]
