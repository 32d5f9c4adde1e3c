"""The restore drill on a running stack: it passes on what is whole, and finds each planted corruption."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis
from support.sample import sample
from support.stack import Sparkle, nothing_left

from holdfast.errors import EnvironmentFailed, UsageError
from holdfast.infra.recovery.drill import DrillOptions, RestoreDrill
from holdfast.infra.recovery.plants import PLANTS
from holdfast.infra.recovery.stores import OwnStores
from holdfast.infra.recovery.writes import PostgresSink, RedisSink, Sink, writing
from holdfast.pipelines.recovery_gates import restore_drill_report
from holdfast.report.model import Report
from holdfast.run import open_run, read_history
from holdfast.verdict import Outcome

CAUGHT_BY = {
    "changed-row": {"equal"},
    "missing-table": {"equal", "acknowledged-before"},
    "changed-key": {"equal", "acknowledged-before"},
    "truncated-file": {"restorable"},
    "older-backup": {"equal", "acknowledged-before"},
}


def drilled(stack: Sparkle, folder: Path, plant: str = "", **limits: float) -> Report:
    """Run the drill and judge what it recorded; nothing of it may be left."""
    run = open_run(folder, command=f"drill restore {plant}", stack="sparkle")
    if limits:
        run.timeline.point("drill.limits", **limits)
    options = DrillOptions(plant=plant, before_s=0.5, after_s=0.5)
    stores = OwnStores(stack.target.provision)
    try:
        RestoreDrill(
            stack=stack.stack, stores=stores, timeline=run.timeline, folder=run.path, options=options
        ).carry_out()
    finally:
        run.close()
    leaves_nothing(stack, run.path)
    return restore_drill_report(read_history(run.path))


def leaves_nothing(stack: Sparkle, run: Path) -> None:
    assert {path.name for path in run.iterdir()} == {"run.json", "timeline.jsonl", "ledger.jsonl"}
    nothing_left(run / "restored")
    with psycopg.connect(stack.target.provision.store_dsn("postgres")) as connection:
        assert connection.execute("SELECT to_regnamespace('holdfast_drill')").fetchone() == (None,)
    with redis.Redis.from_url(stack.target.provision.store_dsn("redis")) as client:
        assert client.exists("holdfast:drill") == 0


def outcomes(report: Report) -> dict[str, Outcome]:
    return {verdict.gate: verdict.outcome for verdict in report.verdicts}


def test_a_drill_of_a_whole_stack_passes_with_rpo_and_rto(stack: Sparkle, tmp_path: Path) -> None:
    report = drilled(stack, tmp_path)
    assert set(outcomes(report).values()) == {Outcome.PASS}, report.verdicts
    assert len(report.verdicts) == 5
    assert 0.5 < report.figures["rpo_s"] < 30
    assert report.figures["rpo_rows"] > 0
    assert 0 < report.figures["rto_s"] < 30


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("plant", sample(PLANTS, 2))
def test_each_planted_corruption_is_found(stack: Sparkle, tmp_path: Path, plant: str) -> None:
    report = drilled(stack, tmp_path, plant)
    failed = {gate for gate, outcome in outcomes(report).items() if outcome is Outcome.FAIL}
    assert failed == CAUGHT_BY[plant], report.verdicts
    assert report.outcome is Outcome.FAIL
    assert report.exit_code == 1


@pytest.mark.slow
def test_a_recovery_that_takes_longer_than_allowed_fails(stack: Sparkle, tmp_path: Path) -> None:
    report = drilled(stack, tmp_path, rpo_s=0.1, rto_s=0.1)
    failed = {gate for gate, outcome in outcomes(report).items() if outcome is Outcome.FAIL}
    assert failed == {"rpo", "rto"}


def test_a_drill_that_recorded_nothing_is_unknown_to_every_gate(tmp_path: Path) -> None:
    run = open_run(tmp_path, command="drill restore")
    run.close()
    assert set(outcomes(restore_drill_report(read_history(run.path))).values()) == {Outcome.UNKNOWN}


def test_an_unknown_plant_is_refused_before_anything_is_written(stack: Sparkle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no plant"):
        drilled(stack, tmp_path, "no-such-plant")


def test_what_could_not_be_removed_is_named(stack: Sparkle) -> None:
    class Kept(RedisSink):
        def remove(self) -> None:
            if removed:
                raise ConnectionError("it went away")
            removed.append("at the beginning")
            super().remove()

    removed: list[str] = []
    stores = OwnStores(stack.target.provision)
    sinks: dict[str, Callable[[], Sink]] = {
        "redis": partial(Kept, stores.store_url("redis")),
        "postgres": partial(PostgresSink, stores.store_dsn("postgres")),
    }
    with pytest.raises(EnvironmentFailed, match="wrote to redis could not be removed"), writing(sinks, rate=100):
        pass
    with psycopg.connect(stores.store_dsn("postgres")) as connection:
        assert connection.execute("SELECT to_regnamespace('holdfast_drill')").fetchone() == (None,)
    RedisSink(stores.store_url("redis")).remove()


@pytest.mark.slow
def test_what_a_killed_drill_left_is_no_hindrance(stack: Sparkle, tmp_path: Path) -> None:
    with psycopg.connect(stack.target.provision.store_dsn("postgres")) as connection:
        connection.execute("CREATE SCHEMA holdfast_drill")
        connection.execute("CREATE TABLE holdfast_drill.rows (other text)")
    assert set(outcomes(drilled(stack, tmp_path)).values()) == {Outcome.PASS}
