"""Measures on a whole run; the gates' own tests meet them one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.history import MS, STARTED, RunOf, verify_run

from holdfast.ledger import FAILED
from holdfast.measures import SECOND, Live, latencies, nearest_rank, outside_faults, recoveries, switches


def at(seconds: float) -> int:
    return STARTED + round(seconds * SECOND)


@given(st.lists(st.integers(0, 10**6), min_size=1), st.floats(0, 1))
def test_nearest_rank_is_the_smallest_value_that_the_share_does_not_exceed(values: list[int], share: float) -> None:
    found = nearest_rank(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert found == min(values) or sum(value < found for value in values) < share * len(values)


def test_nearest_rank_of_nothing_is_zero() -> None:
    assert nearest_rank([], 0.99) == 0


def test_propagation_is_the_last_start_that_the_old_color_answered() -> None:
    forward, back = switches(verify_run().history())
    assert (forward.source, forward.target) == ("blue", "green")
    assert forward.propagation_ms == pytest.approx(4.2)
    assert back.propagation_ms == 0


def test_an_old_answer_before_the_write_or_after_the_next_one_does_not_count() -> None:
    run = verify_run()
    run.request(16.999, color="blue")
    run.request(45.0, color="blue")
    assert [each.propagation_ms for each in switches(run.history())] == [pytest.approx(4.2), 0.0]


def test_a_straggler_of_the_old_color_is_found_however_late() -> None:
    run = verify_run()
    run.request(25.0, color="blue")
    assert switches(run.history())[0].propagation_ms == pytest.approx(8000.2)


def test_a_switch_without_traffic_on_one_side_has_no_propagation() -> None:
    run = RunOf()
    run.switch(5, "release v2", {"gateway": "blue"}, {"gateway": "green"})
    run.traffic(0, 4.9, "blue")
    assert [each.propagation_ms for each in switches(run.history())] == [None]


def test_recovery_ends_with_the_last_bad_request_before_a_clean_second() -> None:
    run = verify_run()
    for seconds in (30.2, 30.9, 31.8):
        run.request(seconds, state=FAILED, status=503, color="")
    run.request(33.9, state=FAILED, status=503, color="")  # more than a second later: not of this fault
    (found,) = recoveries(run.history(), slow_ms=1000)
    assert found.recovery_ms == pytest.approx(1800)
    assert found.bad == 3


def test_outside_of_faults_is_what_ended_before_or_began_after_it_has_settled() -> None:
    run = RunOf()
    run.span("fault", 10, 11, fault="kill", target="x")
    ids = [run.request(seconds, took_ms=200) for seconds in (9.7, 9.9, 10.5, 11.5, 12.1)]
    history = run.history()
    assert [r.id for r in outside_faults(history, history.requests, settle_ms=1000)] == [ids[0], ids[4]]


def test_a_failed_request_has_no_response_time() -> None:
    run = RunOf()
    run.request(1, took_ms=7)
    run.request(2, took_ms=0.1, state=FAILED, status=503)
    found = latencies(run.history().requests)
    assert found is not None
    assert (found.count, found.p50_ms, found.max_ms) == (1, 7.0, 7.0)


def test_what_was_live_is_told_in_words_and_a_switch_is_live_for_a_second() -> None:
    live = Live(verify_run().history())
    assert live.between(at(5), at(5)) == ["step prove-idle release v1"]
    assert live.between(at(17.5), at(17.5)) == [
        "step drain release v2",
        "switch gateway blue → green, engine blue → green",
    ]
    assert live.between(at(18.5), at(18.5)) == ["step watch release v2"]
    assert live.between(at(29.9), at(30.1)) == ["fault kill engine-green#1"]
    assert live.between(at(25), at(25)) == []


def test_a_fault_that_never_ended_is_live_for_ever() -> None:
    run = RunOf()
    run.span("fault", 1, None, fault="cut", target="engine→postgres")
    live = Live(run.history())
    assert live.between(at(500), at(500)) == ["fault cut engine→postgres"]
    assert live.between(at(1) - MS, at(1) - MS) == []
