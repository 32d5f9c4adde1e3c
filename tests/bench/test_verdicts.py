"""Each bench's judge meets figures that it must refuse: planted one by one into figures that it passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bench import cluster_switch, edge, start, switch
from bench._clients import CLIENTS
from bench._result import Result
from support.load_history import HistoryOf

WHOLE = switch.Options()
SHORT = switch.Options(switches=40, seconds=32.0, restarts=4)
SWITCH: dict[str, Any] = {
    "switches": 1000,
    "unseen": 0,
    "seconds": 580.0,
    "requests": 203_000,
    "failed": 0,
    "effects_complete": True,
    "effects": 20_300,
    "lost": 0,
    "duplicated": 0,
    "unexplained": 0,
    "p99_ms": 6.0,
    "generator": {"outcome": "pass", "because": "4 streams were offered as planned"},
}
ON_CLUSTER: dict[str, Any] = {
    "capacity": 580.0,
    "switches": 50,
    "unseen": 0,
    "rate": 290.0,
    "failed": 0,
    "effects_complete": True,
    "effects": 5_000,
    "lost": 0,
    "duplicated": 0,
    "unexplained": 0,
    "generator": {"outcome": "pass", "because": "4 streams were offered as planned"},
}
EDGE = {"p50_added_ms": 0.2, "p99_added_ms": 0.4, "cpu_us": 170.0}
START = {"help_ms": 62.0, "up_s": 1.2, "down_s": 0.6}


def test_figures_that_keep_the_promise_are_ok() -> None:
    assert switch.shortfalls(SWITCH, WHOLE) == []
    assert edge.shortfalls(EDGE) == []
    assert start.shortfalls(START) == []
    assert cluster_switch.shortfalls(ON_CLUSTER, cluster_switch.Options()) == []


@pytest.mark.parametrize(
    ("name", "planted", "said"),
    [
        ("failed", 1, "1 requests failed"),
        ("lost", 1, "1 requests were lost"),
        ("duplicated", 2, "2 requests had more than one effect"),
        ("unexplained", 1, "1 effects are not explained"),
        ("effects", 0, "no request had to leave an effect"),
        ("effects_complete", False, "the effects could not be read"),
        ("switches", 999, "999 of 1000 switches were made"),
        ("unseen", 1, "1 switches had no traffic around them"),
        ("requests", 199_999, "199999 of 200000 requests were offered"),
        ("seconds", 601.0, "it took 601 s"),
        ("p99_ms", 20.1, "propagation p99 is 20.1 ms"),
        ("generator", {"outcome": "unknown", "because": "starts were late"}, "the generator was unwell"),
    ],
)
def test_a_thousand_switches_are_not_ok_when_one_thing_is_wrong(name: str, planted: Any, said: str) -> None:
    found = switch.shortfalls({**SWITCH, name: planted}, WHOLE)
    assert len(found) == 1
    assert said in found[0]


def test_a_short_run_of_switches_is_held_to_its_own_size() -> None:
    offered = {**SWITCH, "switches": 40, "requests": 11_200, "seconds": 32.0}
    assert switch.shortfalls(offered, SHORT) == []
    assert switch.shortfalls({**offered, "switches": 39}, SHORT) == ["39 of 40 switches were made"]
    assert "requests were offered" in switch.shortfalls({**offered, "requests": 10_000}, SHORT)[0]
    assert switch.shortfalls({**offered, "lost": 1}, SHORT) == ["1 requests were lost"]


@pytest.mark.parametrize(
    ("name", "planted", "said"),
    [
        ("failed", 1, "1 requests failed"),
        ("lost", 1, "1 requests were lost"),
        ("duplicated", 2, "2 requests had more than one effect"),
        ("unexplained", 1, "1 effects are not explained"),
        ("effects", 0, "no request had to leave an effect"),
        ("effects_complete", False, "the effects could not be read"),
        ("switches", 49, "49 of 50 switches were made"),
        ("unseen", 1, "1 switches had no traffic around them"),
        ("capacity", 620.0, "290.0 requests/s are less than half of 620.0"),
        ("generator", {"outcome": "unknown", "because": "starts were late"}, "the generator was unwell"),
    ],
)
def test_switches_on_a_cluster_are_not_ok_when_one_thing_is_wrong(name: str, planted: Any, said: str) -> None:
    found = cluster_switch.shortfalls({**ON_CLUSTER, name: planted}, cluster_switch.Options())
    assert len(found) == 1
    assert said in found[0]


def test_a_path_that_cannot_carry_100_requests_a_second_is_not_ok() -> None:
    slow = {**ON_CLUSTER, "capacity": 120.0, "rate": 60.0}
    assert cluster_switch.shortfalls(slow, cluster_switch.Options()) == ["60.0 requests/s were offered"]


@pytest.mark.parametrize("name", list(edge.LIMITS))
def test_an_edge_that_costs_too_much_is_not_ok(name: str) -> None:
    assert len(edge.shortfalls({**EDGE, name: edge.LIMITS[name] * 1.01})) == 1


@pytest.mark.parametrize("name", list(start.LIMITS))
def test_a_start_that_takes_too_long_is_not_ok(name: str) -> None:
    assert len(start.shortfalls({**START, name: start.LIMITS[name] * 1.01})) == 1


def test_a_bench_that_is_not_ok_says_why_and_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert Result("edge", {}, {}, ["too slow"]).finish() == 1
    told = capsys.readouterr()
    line = json.loads(told.out.splitlines()[-1])
    assert (line["ok"], line["short"]) == (False, ["too slow"])
    assert set(line["machine"]) >= {"cpus", "python", "kernel", "load"}
    assert "too slow" in told.err


def test_a_bench_that_is_ok_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert Result("edge", {}, {}, []).finish() == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_switches_that_lose_a_request_are_counted_from_the_run_itself() -> None:
    """A history with one failed, one lost and one late request gives figures that name each."""
    run = HistoryOf()
    run.steady(0, 4, color="blue")
    run.switch(2.0, "blue", "green")
    run.request(2.5, state="unknown")
    run.request(2.6, effect=True)
    figures = switch.figures_of(run.history(), SHORT, {"edge": 1.0})
    assert (figures["failed"], figures["lost"], figures["switches"]) == (1, 1, 1)
    assert figures["max_ms"] > 1900
    assert {"1 requests failed", "1 requests were lost"} <= set(switch.shortfalls(figures, SHORT))


def test_clients_that_a_switch_does_not_reach_are_counted_and_named_by_population() -> None:
    """New connections follow a switch after 50 ms; of the kept ones half stay, until the next switch leads back."""
    run = HistoryOf()
    for at, old, new in ((2.0, "blue", "green"), (5.0, "green", "blue")):
        sides = {"from": {"gateway": old}, "to": {"gateway": new}}
        written = round(at * 1e9)
        run.point("switch", at, written=written, returned=written + 4_000_000, token=1, **sides)
    for begin, end, color in ((0, 2.05, "blue"), (2.05, 5, "green"), (5, 8, "blue")):
        run.steady(begin, end, color=color, stream="new")
        run.steady(begin, end, rate=10, color=color, stream="kept")
        run.steady(begin, end, rate=10, color="blue", stream="kept")
    clients = {name: CLIENTS["selector"][name] for name in ("new", "kept")}
    figures = cluster_switch.figures_of(run.history(), clients)
    assert figures["write_ms"]["p50_ms"] == 4.0
    assert 30 <= figures["by_clients"]["new"]["max_ms"] <= 60
    assert figures["by_clients"]["kept"]["max_ms"] > 2800
    assert cluster_switch.stayed(run.history(), "new") == 0.0
    assert cluster_switch.stayed(run.history(), "kept") == 0.5


@pytest.mark.parametrize(
    ("planted", "said"),
    [({}, ""), ({"state": "failed"}, "1 requests failed"), ({"took_ms": 900}, "p99 900 ms")],
)
def test_a_step_of_the_calibration_is_too_much_when_requests_fail_or_wait(planted: dict[str, Any], said: str) -> None:
    run = HistoryOf()
    run.load(stream="new")
    run.steady(0, 0.5, stream="new")
    run.request(0.6, stream="new", **planted)
    assert cluster_switch.well(run.history(), {"new": CLIENTS["edge"]["new"]}) == said


def test_what_a_restart_costs_is_told_restart_by_restart() -> None:
    run = HistoryOf()
    run.steady(0, 20)
    for begin, end, failed in ((2, 9, 5), (9, 16, 2)):
        run.point("restart", end, begun=round(begin * 1e9), ended=round(end * 1e9))
        for k in range(failed):
            run.request(begin + k, state="failed")
    found = cluster_switch.restarts_of(run.history())
    assert (found["failed"], found["failed_by_restart"], found["restart_s"]) == (7, [5, 2], [5.5, 5.5])
