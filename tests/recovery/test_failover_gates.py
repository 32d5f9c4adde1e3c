"""The gates of the failover drill, on recorded points alone: each can fail, and says unknown without evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.pipelines.failover_gates import failover_report
from holdfast.run import open_run, read_history
from holdfast.verdict import Outcome

GOOD: dict[str, dict[str, Any]] = {
    "failover.cut": {"wall": 100.0},
    "failover.noticed": {"wall": 101.0},
    "failover.answered": {"wall": 102.0},
    "failover.writes": {"store": "postgres", "acknowledged": 50, "last": 100.0, "survived": 100.0, "missing": []},
    "failover.returned": {"store": "postgres", "acknowledged": 50, "last": 110.0, "survived": 110.0, "missing": []},
    "failover.compared": {"store": "postgres", "said": []},
}


def judged(folder: Path, points: dict[str, dict[str, Any]]) -> dict[str, Outcome]:
    run = open_run(folder, command="drill failover")
    for name, data in points.items():
        run.timeline.point(name, **data)
    run.close()
    report = failover_report(read_history(run.path))
    return {verdict.gate: verdict.outcome for verdict in report.verdicts}


def changed(name: str, **data: Any) -> dict[str, dict[str, Any]]:
    return {**GOOD, name: {**GOOD[name], **data}}


def test_a_drill_that_lost_nothing_passes(tmp_path: Path) -> None:
    assert set(judged(tmp_path, GOOD).values()) == {Outcome.PASS}


@pytest.mark.parametrize(
    ("points", "gate"),
    [
        (changed("failover.writes", survived=90.0, missing=[[50, 100.0]]), "rpo"),
        (changed("failover.writes", survived=None, missing=[[1, 90.0], [50, 100.0]]), "rpo"),
        (changed("failover.writes", missing=[[7, 50.0]]), "no-holes"),
        (changed("failover.answered", wall=161.0), "rto"),
        (changed("failover.returned", missing=[[7, 105.0]]), "back-to-normal"),
        (changed("failover.compared", said=["table a is missing"]), "back-to-normal"),
    ],
)
def test_each_gate_can_fail(tmp_path: Path, points: dict[str, dict[str, Any]], gate: str) -> None:
    found = judged(tmp_path, points)
    assert {name for name, outcome in found.items() if outcome is Outcome.FAIL} == {gate}


@pytest.mark.parametrize("missing", list(GOOD))
def test_without_a_record_there_is_no_pass(tmp_path: Path, missing: str) -> None:
    found = judged(tmp_path, {name: data for name, data in GOOD.items() if name != missing})
    assert Outcome.UNKNOWN in found.values()
    assert Outcome.FAIL not in found.values()


def test_the_last_writes_may_be_lost_within_the_limit(tmp_path: Path) -> None:
    points = changed("failover.writes", survived=99.0, missing=[[49, 99.5], [50, 100.0]])
    assert set(judged(tmp_path, points).values()) == {Outcome.PASS}
