"""Each gate meets a run that it must fail, one that it must not judge, and one that it must pass."""

from __future__ import annotations

from typing import Any

import pytest
from support.load_history import HistoryOf

from holdfast.ledger import FAILED, UNKNOWN
from holdfast.load import gates
from holdfast.load.gates import ErrorRatio, Generator, Latency, NothingLost, Propagation, Recovery
from holdfast.verdict import Outcome, Verdict


@pytest.mark.parametrize("name", gates.__all__)
def test_a_run_without_any_record_is_unknown_to_every_gate(name: str) -> None:
    verdict = getattr(gates, name)().judge(HistoryOf().history())
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.because


def judged(
    history: HistoryOf, gate: NothingLost | ErrorRatio | Latency | Recovery | Propagation | Generator
) -> Verdict:
    verdict = gate.judge(history.history())
    assert verdict.gate == gate.name
    assert verdict == gate.judge(history.history())
    return verdict


class TestNothingLost:
    def test_an_acknowledged_request_without_effect_is_named_with_what_was_live(self) -> None:
        h = HistoryOf()
        h.span("fault", 0.5, 2, fault="kill", target="engine#1")
        h.span("step", 3, 4, step="switch", op="release v2")
        kept, lost = h.request(0.2, effect=True), h.request(1.0, effect=True)
        h.effect(kept)
        verdict = judged(h, NothingLost())
        assert verdict.outcome is Outcome.FAIL
        assert verdict.because == "1 lost"
        (named,) = verdict.evidence["requests"]["lost"]
        assert named["id"] == lost
        assert named["live"] == ["fault kill engine#1"]

    def test_a_switch_just_before_a_lost_request_is_named(self) -> None:
        h = HistoryOf()
        h.switch(0.9, "blue", "green", token=41)
        h.request(1.0, effect=True)
        (named,) = judged(h, NothingLost()).evidence["requests"]["lost"]
        assert named["live"] == ["switch gateway blue → green"]

    def test_two_effects_of_one_request_fail(self) -> None:
        h = HistoryOf()
        twice = h.request(1, effect=True)
        h.effect(twice)
        h.effect(twice)
        verdict = judged(h, NothingLost())
        assert (verdict.outcome, verdict.because) == (Outcome.FAIL, "1 duplicated")

    def test_an_effect_that_nobody_asked_for_fails(self) -> None:
        h = HistoryOf()
        h.effect(h.request(1, effect=True))
        h.effect("somebody-else")
        assert judged(h, NothingLost()).because == "1 unexplained"

    def test_at_most_twenty_are_named_and_all_are_counted(self) -> None:
        h = HistoryOf()
        h.steady(0, 1, rate=50, effect=True)
        verdict = judged(h, NothingLost())
        assert verdict.evidence["lost"] == 50
        assert len(verdict.evidence["requests"]["lost"]) == 20

    def test_effects_that_could_not_be_read_are_unknown(self) -> None:
        h = HistoryOf()
        h.request(1, effect=True)
        h.effects = None
        assert judged(h, NothingLost()).outcome is Outcome.UNKNOWN

    def test_traffic_without_a_successful_effect_is_unknown(self) -> None:
        h = HistoryOf()
        h.request(1)
        h.request(2, effect=True, state=FAILED)
        assert judged(h, NothingLost()).outcome is Outcome.UNKNOWN

    def test_one_effect_each_passes(self) -> None:
        h = HistoryOf()
        for at in range(3):
            h.effect(h.request(at, effect=True))
        assert judged(h, NothingLost()).outcome is Outcome.PASS


class TestErrorRatio:
    def test_too_many_failed_or_open_requests_fail(self) -> None:
        h = HistoryOf()
        h.steady(0, 10)
        h.request(11, state=FAILED)
        h.request(12, state=UNKNOWN)
        verdict = judged(h, ErrorRatio())
        assert verdict.outcome is Outcome.FAIL
        assert verdict.evidence["errors"] == 2

    def test_errors_at_the_limit_pass(self) -> None:
        h = HistoryOf()
        h.steady(0, 9.99)
        h.request(11, state=FAILED)
        assert judged(h, ErrorRatio()).outcome is Outcome.PASS

    def test_few_requests_are_unknown_even_without_errors(self) -> None:
        h = HistoryOf()
        h.steady(0, 0.49)
        assert judged(h, ErrorRatio()).outcome is Outcome.UNKNOWN

    def test_errors_of_a_fault_count_unless_told_otherwise(self) -> None:
        h = HistoryOf()
        h.steady(0, 10)
        h.span("fault", 4, 5, fault="kill")
        for at in (4.1, 4.2, 5.5):
            h.request(at, state=UNKNOWN)
        assert judged(h, ErrorRatio()).outcome is Outcome.FAIL
        assert judged(h, ErrorRatio(only_outside_faults=True)).outcome is Outcome.PASS
        assert judged(h, ErrorRatio(only_outside_faults=True, settle_ms=0)).outcome is Outcome.FAIL

    def test_only_the_named_stream_counts(self) -> None:
        h = HistoryOf()
        h.steady(0, 1, stream="gate-1", state=FAILED)
        h.steady(0, 1)
        assert judged(h, ErrorRatio(stream="main")).outcome is Outcome.PASS
        assert judged(h, ErrorRatio(stream="gate-1")).outcome is Outcome.FAIL


class TestLatency:
    def test_a_slow_tail_fails(self) -> None:
        h = HistoryOf()
        h.steady(0, 9.8)
        h.steady(9.8, 10, took_ms=80)
        verdict = judged(h, Latency())
        assert verdict.outcome is Outcome.FAIL
        assert verdict.evidence["p99_ms"] == 80

    def test_a_request_that_was_sent_late_is_slow_from_its_intended_start(self) -> None:
        h = HistoryOf()
        h.steady(0, 10, took_ms=205, sent_late_ms=200)
        assert judged(h, Latency()).outcome is Outcome.FAIL

    def test_what_a_fault_touched_is_left_out(self) -> None:
        h = HistoryOf()
        h.steady(0, 10)
        h.span("fault", 4, 5, fault="freeze")
        h.request(3.9, took_ms=500)
        h.steady(4, 5.9, took_ms=900)
        assert judged(h, Latency()).outcome is Outcome.PASS
        assert judged(h, Latency(settle_ms=0)).outcome is Outcome.FAIL

    def test_a_fault_that_never_ended_leaves_nothing_to_judge(self) -> None:
        h = HistoryOf()
        h.span("fault", 0.1, None, fault="freeze")
        h.steady(0, 10)
        assert judged(h, Latency()).outcome is Outcome.UNKNOWN

    def test_fast_refusals_do_not_flatter(self) -> None:
        h = HistoryOf()
        h.steady(0, 9, took_ms=0.1, state=FAILED)
        h.steady(9, 10, took_ms=80)
        assert judged(h, Latency()).outcome is Outcome.FAIL

    def test_a_fast_run_passes(self) -> None:
        h = HistoryOf()
        h.steady(0, 10)
        assert judged(h, Latency()).outcome is Outcome.PASS


class TestRecovery:
    def faulty(self, bad_until: float, traffic_until: float = 20) -> HistoryOf:
        """A fault from 2 to 3; users feel it until `bad_until`."""
        h = HistoryOf()
        h.span("fault", 2, 3, fault="kill", target="engine#1")
        h.steady(0, 2)
        h.steady(2, bad_until, state=FAILED)
        h.steady(bad_until, traffic_until)
        return h

    def test_a_long_outage_fails(self) -> None:
        verdict = judged(self.faulty(8), Recovery())
        assert verdict.outcome is Outcome.FAIL
        assert verdict.evidence["faults"][0]["recovery_ms"] == pytest.approx(5990)

    def test_a_short_outage_passes_and_is_measured_from_the_start_of_the_fault(self) -> None:
        verdict = judged(self.faulty(4.5), Recovery())
        assert verdict.outcome is Outcome.PASS
        assert verdict.evidence["faults"][0]["recovery_ms"] == pytest.approx(2490)

    def test_an_outage_that_begins_late_in_the_fault_counts(self) -> None:
        h = HistoryOf()
        h.span("fault", 2, 6, fault="slow-leak")
        h.steady(0, 5)
        h.steady(5, 7.5, state=FAILED)
        h.steady(7.5, 20)
        assert judged(h, Recovery()).outcome is Outcome.FAIL

    def test_slow_answers_are_not_yet_service(self) -> None:
        h = self.faulty(2.5)
        h.steady(2.5, 9, took_ms=1500)
        assert judged(h, Recovery()).outcome is Outcome.FAIL

    def test_an_outage_to_the_end_of_the_traffic_fails_once_the_limit_is_over(self) -> None:
        assert judged(self.faulty(20), Recovery()).outcome is Outcome.FAIL

    def test_traffic_that_ends_too_early_is_unknown(self) -> None:
        assert judged(self.faulty(4.5, traffic_until=4.6), Recovery()).outcome is Outcome.UNKNOWN

    def test_a_run_without_faults_is_unknown(self) -> None:
        h = HistoryOf()
        h.steady(0, 10)
        assert judged(h, Recovery()).outcome is Outcome.UNKNOWN

    def test_errors_long_after_a_fault_are_not_its_own(self) -> None:
        h = self.faulty(2.5)
        h.request(15, state=FAILED)
        assert judged(h, Recovery()).evidence["faults"][0]["recovery_ms"] == pytest.approx(490)


class TestPropagation:
    def switched(self, late_ms: float, switches: int = 1) -> HistoryOf:
        """Switches at 2, 4, …; the old color goes on answering for `late_ms` after the first."""
        h = HistoryOf()
        colors = ["blue", "green"]
        h.steady(0, 2, rate=200)
        for k in range(switches):
            old, new = colors[k % 2], colors[(k + 1) % 2]
            at = 2 + 2 * k
            h.switch(at, old, new, token=k)
            late = late_ms / 1000 if k == 0 else 0
            h.steady(at + 0.001, at + late, rate=1000, color=old, took_ms=0.5)
            h.steady(at + max(late, 0.001), at + 2, rate=200, color=new)
        return h

    def test_an_old_color_that_goes_on_answering_fails(self) -> None:
        verdict = judged(self.switched(late_ms=60), Propagation())
        assert verdict.outcome is Outcome.FAIL
        assert verdict.evidence["max_ms"] == pytest.approx(59, abs=1.01)

    def test_a_route_that_never_takes_effect_fails(self) -> None:
        h = HistoryOf()
        h.switch(2, "blue", "green")
        h.steady(0, 4, rate=200)
        assert judged(h, Propagation()).outcome is Outcome.FAIL

    def test_a_switch_at_once_passes(self) -> None:
        verdict = judged(self.switched(late_ms=0, switches=4), Propagation())
        assert verdict.outcome is Outcome.PASS
        assert verdict.evidence["switches"] == 4

    def test_requests_under_way_at_the_next_switch_may_have_either_color(self) -> None:
        h = self.switched(late_ms=0, switches=2)
        h.request(3.999, color="blue", took_ms=3)
        assert judged(h, Propagation()).outcome is Outcome.PASS

    def test_a_preview_of_the_old_color_is_no_late_answer(self) -> None:
        h = self.switched(late_ms=0)
        h.span("load", 3, 4, stream="gate-1", preview=True)
        h.steady(3, 4, color="blue", stream="gate-1")
        assert judged(h, Propagation()).outcome is Outcome.PASS

    def test_a_switch_without_traffic_around_is_unknown(self) -> None:
        h = HistoryOf()
        h.steady(0, 0.5)
        h.switch(2, "blue", "green")
        h.steady(2, 3, color="green")
        assert judged(h, Propagation()).outcome is Outcome.UNKNOWN

    def test_a_switch_that_does_not_move_the_edge_is_none(self) -> None:
        h = HistoryOf()
        h.steady(0, 4)
        h.switch(1, "blue", "green", service="engine")
        h.switch(0, "", "blue")
        assert judged(h, Propagation()).because == "no switch moved the edge"


class TestGenerator:
    def test_a_generator_that_did_its_work_passes(self) -> None:
        h = HistoryOf()
        h.load()
        h.health([1.0] * 10)
        assert judged(h, Generator()).outcome is Outcome.PASS

    @pytest.mark.parametrize(
        ("result", "reason"),
        [
            ({"lag_p99_ms": 5.1}, "starts were late"),
            ({"achieved_ratio": 0.98}, "98.0% of the starts"),
            ({"queued": 3}, "3 starts were still queued"),
            ({"offered": 0}, "offered nothing"),
        ],
    )
    def test_one_that_fell_behind_is_unknown(self, result: dict[str, Any], reason: str) -> None:
        h = HistoryOf()
        h.load(**result)
        verdict = judged(h, Generator())
        assert verdict.outcome is Outcome.UNKNOWN
        assert reason in verdict.because

    def test_its_lag_is_measured_by_the_latency_that_is_judged(self) -> None:
        h = HistoryOf()
        h.load(lag_p99_ms=15)
        assert judged(h, Generator(latency_limit_ms=200)).outcome is Outcome.PASS

    @pytest.mark.parametrize("end", [None, 10])
    def test_one_that_crashed_is_unknown_never_fail(self, end: float | None) -> None:
        h = HistoryOf()
        h.load(end=end, ok=False)
        assert judged(h, Generator()).outcome is Outcome.UNKNOWN

    def test_one_stall_is_tolerated_two_of_ten_are_not(self) -> None:
        once, twice = HistoryOf(), HistoryOf()
        once.load()
        twice.load()
        once.health([60.0] + [1.0] * 9)
        twice.health([60.0, 60.0] + [1.0] * 8)
        assert judged(once, Generator()).outcome is Outcome.PASS
        assert judged(twice, Generator()).outcome is Outcome.UNKNOWN

    def test_one_unwell_stream_of_two_is_unknown_and_named(self) -> None:
        h = HistoryOf()
        h.load()
        h.load(stream="watch", queued=9)
        assert judged(h, Generator()).because.startswith("watch: ")
        assert judged(h, Generator(stream="main")).outcome is Outcome.PASS
