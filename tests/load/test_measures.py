"""The figures that gates and reports share."""

from __future__ import annotations

import time

import pytest
from support.load_history import RUN_ID, HistoryOf

from holdfast.ledger import FAILED, UNKNOWN
from holdfast.measures import latencies, recoveries, stream_of, switches, traffic, users_traffic


def test_a_switch_counts_the_failed_requests_around_it_and_names_them() -> None:
    h = HistoryOf()
    h.steady(0, 4)
    h.switch(2, "blue", "green")
    near = [h.request(1.2, state=FAILED), h.request(2.9, state=UNKNOWN)]
    h.request(0.5, state=FAILED)
    (found,) = switches(h.history())
    assert found.failed == 2
    assert found.failed_ids == tuple(near)
    assert found.requests == 202
    assert (found.source, found.target, found.token) == ("blue", "green", "1")


def test_each_switch_is_measured_up_to_the_next() -> None:
    h = HistoryOf()
    h.steady(0, 2, color="blue")
    h.switch(2, "blue", "green", token=1)
    h.request(2.007, color="blue", took_ms=1)
    h.steady(2.01, 4, color="green")
    h.switch(4, "green", "blue", token=2)
    h.steady(4.001, 6, color="blue")
    assert [(s.token, s.propagation_ms) for s in switches(h.history())] == [("1", pytest.approx(7)), ("2", 0.0)]


def test_a_request_counts_from_when_it_was_sent_not_from_when_it_was_meant_to_start() -> None:
    h = HistoryOf()
    h.steady(0, 2, color="blue")
    h.switch(2, "blue", "green")
    h.request(1.9, sent_late_ms=130, took_ms=140, color="blue")
    h.steady(2.1, 4, color="green")
    assert switches(h.history())[0].propagation_ms == pytest.approx(30)


def test_another_service_may_be_the_edge() -> None:
    h = HistoryOf()
    h.steady(0, 4, color="blue")
    h.switch(2, "green", "blue", service="front")
    assert switches(h.history()) == []
    h.switch(3, "blue", "green", service="front", edge="front")
    assert len(switches(h.history())) == 1


def test_a_thousand_switches_over_many_requests_are_measured_in_little_time() -> None:
    h = HistoryOf()
    for k in range(1000):
        old, new = ("blue", "green") if k % 2 else ("green", "blue")
        h.switch(1 + k * 0.6, old, new, token=k)
        h.steady(0.4 + k * 0.6, 1 + k * 0.6, rate=50, color=old, took_ms=1)
    began = time.process_time()
    found = switches(h.history())
    assert time.process_time() - began < 3
    assert [s.propagation_ms for s in found[:-1]] == [0.0] * 999


def test_users_traffic_leaves_previews_out_and_a_stream_is_found_by_name() -> None:
    h = HistoryOf()
    h.span("load", 0, 1, stream="gate-1", preview=True)
    h.request(0.1)
    h.request(0.2, stream="gate-1")
    h.request(0.3, stream="gate")
    history = h.history()
    assert len(traffic(history)) == 3
    assert [stream_of(r.id, RUN_ID) for r in users_traffic(history)] == ["main", "gate"]
    assert [stream_of(r.id, RUN_ID) for r in traffic(history, "gate-1")] == ["gate-1"]
    assert stream_of("somebody-else-1", RUN_ID) == ""


def test_no_request_has_no_latency() -> None:
    assert latencies([]) is None


def test_two_faults_are_measured_apart() -> None:
    h = HistoryOf()
    h.span("fault", 2, 3, fault="kill", target="engine#1")
    h.span("fault", 8, 8.1, fault="kill", target="engine#2")
    h.steady(0, 2)
    h.steady(2, 2.4, state=FAILED)
    h.steady(2.4, 8.05)
    h.steady(8.05, 9, state=UNKNOWN)
    h.steady(9, 15)
    first, second = recoveries(h.history(), slow_ms=1000)
    assert [(each.fault, each.bad) for each in (first, second)] == [
        ("fault kill engine#1", 40),
        ("fault kill engine#2", 95),
    ]
    assert first.recovery_ms == pytest.approx(390)
    assert second.recovery_ms == pytest.approx(990)
