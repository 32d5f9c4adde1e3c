"""The report says what the history says: every figure is checked against what was planted."""

import msgspec
import pytest
from support.history import RUN_ID, STARTED_WALL, RunOf, verify_run

from holdfast.errors import ExitCode
from holdfast.ledger import FAILED, UNKNOWN
from holdfast.report.build import build_report
from holdfast.report.model import Report
from holdfast.verdict import Outcome, Verdict


def verdict(outcome: Outcome) -> Verdict:
    return Verdict(gate="g", outcome=outcome, because="b")


@pytest.mark.parametrize(
    ("outcomes", "expected", "code"),
    [
        ([Outcome.PASS, Outcome.PASS], Outcome.PASS, ExitCode.PASS),
        ([Outcome.PASS, Outcome.UNKNOWN], Outcome.UNKNOWN, ExitCode.UNKNOWN),
        ([Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS], Outcome.FAIL, ExitCode.FAIL),
        ([], Outcome.UNKNOWN, ExitCode.UNKNOWN),
    ],
)
def test_the_worst_verdict_decides_and_no_verdict_is_unknown(
    outcomes: list[Outcome], expected: Outcome, code: ExitCode
) -> None:
    report = build_report(RunOf().history(), [verdict(each) for each in outcomes])
    assert (report.outcome, report.exit_code) == (expected, code)


def test_the_same_history_gives_the_same_report() -> None:
    first, second = (build_report(verify_run(wrong=True).history(), []) for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


def test_the_ledger_adds_up_and_holds_what_was_planted(bad: Report) -> None:
    ledger = bad.ledger
    assert ledger.offered == ledger.acknowledged + ledger.accepted + ledger.failed + ledger.unknown
    assert (ledger.lost, ledger.duplicated, ledger.unexplained) == (2, 1, 1)
    assert (ledger.failed, ledger.unknown, ledger.complete) == (10, 1, True)


def test_a_run_that_went_well_names_nobody(good: Report) -> None:
    assert msgspec.to_builtins(good.named) == {
        word: [] for word in ("lost", "duplicated", "unexplained", "failed", "unknown")
    }


def test_a_lost_request_is_named_with_what_was_live(bad: Report) -> None:
    at_switch, at_fault = bad.named.lost
    assert (at_switch.at_s, at_switch.route, at_switch.effects) == (17.2, "chat", 0)
    assert at_switch.during == ["step drain release v2", "switch gateway blue → green, engine blue → green"]
    assert (at_fault.at_s, at_fault.route) == (30.6, "stream")
    assert at_fault.during == ["fault kill engine-green#1"]


def test_a_duplicated_request_is_named_with_the_number_of_its_effects(bad: Report) -> None:
    assert [(each.at_s, each.effects) for each in bad.named.duplicated] == [(30.2, 2)]


def test_an_effect_that_nobody_asked_for_is_placed_by_the_databases_clock() -> None:
    run = verify_run()
    run.effect(f"{RUN_ID}-users-77777", color="green", at="2025-10-09 08:53:50.500+00")
    run.effect(f"{RUN_ID}-users-77778", color="green", at="yesterday")
    placed, unplaced = build_report(run.history(), []).named.unexplained
    assert STARTED_WALL == 1_760_000_000.0  # 2025-10-09 08:53:20 UTC
    assert placed.at_s == pytest.approx(30.5)
    assert placed.during == ["fault kill engine-green#1"]
    assert (unplaced.at_s, unplaced.during, unplaced.route) == (None, [], "")


def test_failed_requests_are_named_up_to_a_thousand_and_counted_whole() -> None:
    run = RunOf()
    for k in range(1200):
        run.request(k / 100, state=FAILED, status=503, color="")
    report = build_report(run.history(), [])
    assert (report.ledger.failed, len(report.named.failed)) == (1200, 1000)
    assert report.named.failed[0].at_s == 0


def test_a_request_that_never_settled_is_unknown_and_says_why() -> None:
    run = RunOf()
    run.request(1, settled=False)
    report = build_report(run.history(), [])
    assert (report.ledger.unknown, report.ledger.unexplained) == (1, 0)
    assert report.named.unknown[0].detail == "never settled: the generator ended before"


def test_without_effects_lost_is_not_known_and_is_no_figure() -> None:
    run = RunOf()
    run.request(1, state=UNKNOWN, status=0)
    run.effects = None
    report = build_report(run.history(), [])
    assert not report.ledger.complete
    assert report.ledger.unexplained == 1
    assert "lost" not in report.figures


def test_each_switch_has_its_propagation_from_the_write_to_the_last_start_of_the_old_color(bad: Report) -> None:
    first, forward, back = bad.release.switches
    assert (first.from_, first.to, first.propagation_ms) == ({}, {"gateway": "blue", "engine": "blue"}, None)
    assert forward.at_s == 17.0
    assert forward.propagation_ms == pytest.approx(4.2)
    assert (back.op, back.propagation_ms) == ("rollback v1", 0.0)
    assert forward.requests > 300
    assert forward.failed == 0


def test_a_failed_request_counts_at_the_switch_that_it_is_near_to() -> None:
    run = verify_run()
    run.request(17.9, state=FAILED, status=503, color="")
    run.request(18.2, state=FAILED, status=503, color="")
    assert [each.failed for each in build_report(run.history(), []).release.switches] == [0, 1, 0]


def test_a_switch_of_an_inner_service_has_no_propagation_at_the_edge() -> None:
    run = verify_run()
    run.switch(35.0, "release v3", {"engine": "green"}, {"engine": "blue"})
    inner = next(each for each in build_report(run.history(), []).release.switches if each.op == "release v3")
    assert inner.propagation_ms is None
    assert inner.requests > 300


def test_a_fault_has_its_recovery(bad: Report, good: Report) -> None:
    (fault,) = bad.faults
    assert (fault.fault, fault.target, fault.start_s, fault.end_s) == ("kill", "engine-green#1", 30.0, 31.3)
    assert fault.recovery_s == pytest.approx(1.01)
    assert fault.bad == 11
    assert good.faults[0].recovery_s == 0


def test_a_fault_at_the_end_of_the_traffic_has_no_recovery_and_no_figure_claims_one() -> None:
    run = verify_run()
    run.span("fault", 55.9, 56.2, fault="cut", target="engine→postgres")
    report = build_report(run.history(), [])
    assert [each.recovery_s for each in report.faults] == [0.0, None]
    assert "recovery_max_s" not in report.figures


def test_a_step_that_was_cut_off_has_no_end_and_a_failed_one_its_error() -> None:
    run = RunOf()
    run.span("step", 1, 2, ok=False, error="no answer", op="release v2", step="ready", version="v2")
    run.span("step", 2, None, op="release v2", step="undo start-idle", version="v2")
    failed, cut = build_report(run.history(), []).release.steps
    assert (failed.ok, failed.end_s, failed.error, failed.version) == (False, 2.0, "no answer", "v2")
    assert (cut.ok, cut.end_s) == (None, None)


def test_phases_are_seconds_since_the_start(bad: Report) -> None:
    assert [(each.phase, each.start_s, each.seconds) for each in bad.phases[:2]] == [
        ("up", 0.0, 1.4),
        ("release v1", 1.4, pytest.approx(5.6)),
    ]
    assert bad.seconds == 60.0


def test_latency_outside_of_faults_leaves_the_fault_out(bad: Report) -> None:
    latency = bad.latency
    assert latency.overall is not None
    assert latency.outside_faults is not None
    assert latency.overall.max_ms == 10_000  # the request that was never answered
    assert latency.outside_faults.max_ms < 400
    assert list(latency.routes) == ["chat", "stream", "whoami"]
    assert sum(each.overall.count for each in latency.routes.values() if each.overall) == latency.overall.count


def test_the_generator_is_told_by_stream_and_one_that_died_has_no_figures() -> None:
    run = RunOf()
    run.load(0, 5, lag_p99_ms=7.5)
    run.span("load", 5, None, stream="probe", rate=20, profile="smoke", preview=True)
    users, probe = build_report(run.history(), []).generator.streams
    assert (users.stream, users.lag_p99_ms, users.queued) == ("users", 7.5, 0)
    assert users.cpu_share_max == pytest.approx(0.28)
    assert (probe.preview, probe.offered, probe.achieved_ratio, probe.cpu_share_max) == (True, None, None, None)


def test_the_series_holds_every_second_between_the_first_and_the_last_request() -> None:
    run = RunOf()
    run.request(2.1, took_ms=4)
    run.request(2.9, took_ms=8, color="green")
    run.request(4.0, state=FAILED, status=503, color="")
    series = build_report(run.history(), []).series
    assert [each.second for each in series] == [2, 3, 4]
    assert (series[0].colors, series[0].p99_ms) == ({"blue": 1, "green": 1}, 8.0)
    assert (series[1].offered, series[1].p99_ms) == (0, None)
    assert (series[2].failed, series[2].colors, series[2].p99_ms) == (1, {}, None)


def test_the_series_shows_users_and_not_the_preview_of_the_idle_color() -> None:
    run = RunOf()
    run.span("load", 0, 1, stream="probe", rate=20, profile="smoke", preview=True)
    run.request(0.5, stream="probe", color="green")
    run.request(0.5)
    report = build_report(run.history(), [])
    assert report.ledger.offered == 2
    assert [each.colors for each in report.series] == [{"blue": 1}]


def test_notes_are_in_the_order_of_time(bad: Report) -> None:
    assert [(each.at_s, each.kind, each.text) for each in bad.notes] == [
        (30.4, "restart", "engine-green#1 restarted: ended by signal 9"),
        (40.9, "drained", "rollback v1: 0 requests left after the drain"),
    ]


def test_figures_are_flat_numbers(bad: Report) -> None:
    assert bad.figures["lost"] == 2
    assert bad.figures["propagation_max_ms"] == pytest.approx(4.2)
    assert bad.figures["error_ratio"] == pytest.approx(11 / bad.ledger.offered)
    assert bad.figures["offered_per_s"] == pytest.approx(200, rel=0.05)
    assert all(isinstance(value, float) for value in bad.figures.values())


def test_an_empty_history_gives_a_report_without_a_figure_that_was_not_measured() -> None:
    report = build_report(RunOf().history(), [])
    assert report.seconds == 0
    assert report.figures.keys() == {
        "seconds", "offered", "lost", "duplicated", "unexplained", "switches", "faults",
    }  # fmt: skip
