"""The parts of the picture's layout that are easy to get wrong."""

import pytest

from holdfast.report.model import Second
from holdfast.report.shapes import bins, fitting, pack, round_up


def second(k: int, p99_ms: float | None = 5.0) -> Second:
    return Second(
        second=k, offered=4, acknowledged=2, accepted=0, failed=1, unknown=1, colors={"blue": 1, "": 1}, p99_ms=p99_ms
    )


def test_a_run_of_minutes_has_a_bar_a_second() -> None:
    found = bins([second(k) for k in range(3, 203)])
    assert [(each.start, each.size) for each in found[:2]] == [(3, 1), (4, 1)]
    assert found[0].parts == {"blue": 1, "green": 0, "other": 1, "unknown": 1, "failed": 1}
    assert found[0].offered == 4


def test_a_run_of_an_hour_is_gathered_and_keeps_its_worst_second() -> None:
    found = bins([second(k, 900.0 if k == 17 else 5.0) for k in range(3600)])
    assert len(found) == 240
    assert (found[1].start, found[1].size, found[1].offered, found[1].p99_ms) == (15, 15, 60, 900.0)
    assert sum(each.offered for each in found) == 4 * 3600


def test_a_second_without_answers_has_no_p99() -> None:
    assert bins([second(0, None)])[0].p99_ms is None


def test_intervals_that_overlap_get_rows_of_their_own() -> None:
    assert pack([(0, 5), (1, 2), (2, 9), (5, 6)]) == [0, 1, 1, 0]
    assert pack([]) == []


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [("steady", 100, "steady"), ("steady on v2", 60, "steady o…"), ("steady", 20, ""), ("up", 13, "up"), ("", 0, "")],
)
def test_a_label_fits_is_cut_or_left_out(text: str, width: float, expected: str) -> None:
    assert fitting(text, width) == expected


@pytest.mark.parametrize(("value", "expected"), [(226, 250), (200, 200), (0.4, 0.4), (7, 8), (1001, 2000), (0, 1)])
def test_a_scale_ends_at_a_round_number(value: float, expected: float) -> None:
    assert round_up(value) == pytest.approx(expected)
