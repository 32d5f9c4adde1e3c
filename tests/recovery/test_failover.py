"""The failover drill on this machine: it passes, finds each plant, and leaves neither a process nor a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.deploy_child import child_environ
from support.sample import sample
from support.stack import refusal, wait_until

from holdfast.errors import UsageError
from holdfast.infra.recovery.failover import PLANTS, FailoverOptions
from holdfast.infra.stack import load_stack
from holdfast.pipelines.drills import DrillLimits, drill_failover, refuse_cluster_only, refuse_without_stores
from holdfast.report.model import Report
from holdfast.verdict import Outcome

CAUGHT_BY = {"stalled-replica": "rpo", "lost-row": "no-holes"}


def failed_over(home: Path, plant: str = "") -> Report:
    """Run the drill; nothing of it may be left but its run."""
    options = FailoverOptions(plant=plant, before_s=1.5)
    report, _ = drill_failover("sparkle", str(home), options, DrillLimits(rpo_s=1.0), target="local", quiet=True)
    assert servers(home) == []
    assert not (home / "regions").exists()
    return report


def servers(home: Path) -> list[int]:
    """The servers of a drill that run, by their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                argv = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{home}/regions/".encode() in argv:
                found.append(int(entry.name))
    return found


def test_a_region_is_lost_and_the_other_takes_over(tmp_path: Path) -> None:
    report = failed_over(tmp_path)
    assert {verdict.outcome for verdict in report.verdicts} == {Outcome.PASS}, report.verdicts
    assert {"rpo_s", "rpo_rows", "rto_s"} <= set(report.figures)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("plant", sample(PLANTS, 1))
def test_a_planted_loss_is_found(tmp_path: Path, plant: str) -> None:
    report = failed_over(tmp_path, plant)
    failed = {verdict.gate for verdict in report.verdicts if verdict.outcome is Outcome.FAIL}
    assert failed == {CAUGHT_BY[plant]}, report.verdicts
    assert report.exit_code == 1


@pytest.mark.slow
def test_the_servers_of_a_killed_drill_end_and_the_next_one_works(tmp_path: Path) -> None:
    options = ["--home", str(tmp_path), "--target", "local", "--before", "20s"]
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "holdfast", "drill", "failover", *options], env=child_environ()
    )
    try:
        wait_until(lambda: len(servers(tmp_path)) >= 4, "both regions run", 20)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    wait_until(lambda: not servers(tmp_path), "they end with it", 5)
    assert failed_over(tmp_path).outcome is Outcome.PASS


def test_an_unknown_plant_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no plant"):
        failed_over(tmp_path / "home", "none")
    assert not (tmp_path / "home").exists()


def test_what_cannot_be_drilled_is_refused() -> None:
    sparkle = load_stack("sparkle")
    assert (
        "names no store" in refusal(lambda: refuse_without_stores(msgspec.structs.replace(sparkle, stores={}))).because
    )
    assert "cannot be restored on this machine" in refusal(lambda: refuse_cluster_only(load_stack("agno"))).what
    refuse_without_stores(sparkle)
    refuse_cluster_only(sparkle)


@pytest.mark.slow
def test_an_older_postgresql_fails_over_too(tmp_path: Path) -> None:
    report, _ = drill_failover("sage", str(tmp_path), FailoverOptions(before_s=1.0), DrillLimits(), target="local")
    assert report.outcome is Outcome.PASS, report.verdicts
