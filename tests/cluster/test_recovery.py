"""Disaster recovery on a real cluster: backup, restore and drill of its stores, and a region that is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from recovery.contents import fill
from recovery.restoring import Restoring, acting
from recovery.test_drill import outcomes
from support import kubernetes
from support.cluster_stack import ClusterSparkle, cluster_sparkle, quick_cluster_stack
from support.kubernetes import Cluster
from support.stack import releases_of

from holdfast.infra.recovery.backup import Taken, take_backup
from holdfast.infra.recovery.cluster_regions import two_namespaces
from holdfast.infra.recovery.drill import DrillOptions, RestoreDrill
from holdfast.infra.recovery.failover import FailoverDrill, FailoverOptions
from holdfast.infra.stack import load_stack
from holdfast.infra.targets.cluster.access import find_access
from holdfast.infra.targets.cluster.throwaway import sweep
from holdfast.pipelines.failover_gates import failover_report
from holdfast.pipelines.recovery_gates import restore_drill_report
from holdfast.report.model import Report
from holdfast.run import open_run, read_history
from holdfast.verdict import Outcome

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def kubeconfig(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))


# -- a stack's own stores ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(was_up: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSparkle]:
    """A stack on the cluster with data of every kind."""
    kubernetes.succeed("up")
    folder = tmp_path_factory.mktemp("cluster")
    releases = releases_of(folder / "releases")
    with cluster_sparkle(folder, releases, stack=quick_cluster_stack(1)) as found:
        fill(found.target.provision.store_dsn("postgres"), found.target.provision.store_url("redis"))
        yield found


@pytest.fixture
def taken(filled: ClusterSparkle, tmp_path: Path) -> Taken:
    stores = filled.target.provision
    return take_backup(filled.stack, stores, tmp_path / "backups", target="cluster", say=lambda text: None)


@pytest.fixture
def restoring(filled: ClusterSparkle, taken: Taken, tmp_path: Path) -> Restoring:
    found = acting(filled, taken.backup, tmp_path)
    found.reached = filled.target.provision
    return found


def test_a_stack_on_a_cluster_goes_back_in_place_and_comes_again(restoring: Restoring) -> None:
    restoring.change()
    desk = restoring.desk()
    assert desk.restore(restoring.backup, "here").state == "held"
    restoring.as_backed_up()
    assert desk.undo().state == "undone"
    restoring.as_changed()
    desk.restore(restoring.backup, "here")
    assert desk.finish().state == "done"
    restoring.as_backed_up()


def test_a_cluster_s_backup_is_restored_on_this_machine(restoring: Restoring, tmp_path: Path) -> None:
    assert restoring.desk().restore(restoring.backup, str(tmp_path / "new")).state == "done"
    assert (tmp_path / "new" / "data" / "postgres" / "PG_VERSION").is_file()


def test_the_restore_drill_passes_on_a_cluster_and_finds_a_plant(filled: ClusterSparkle, tmp_path: Path) -> None:
    for plant, expected in (("", Outcome.PASS), ("changed-row", Outcome.FAIL)):
        run = open_run(tmp_path, command=f"drill restore {plant}")
        RestoreDrill(
            stack=filled.stack,
            stores=filled.target.provision,
            timeline=run.timeline,
            folder=run.path,
            options=DrillOptions(plant=plant, before_s=0.5, after_s=0.5),
            where="cluster",
        ).carry_out()
        run.close()
        report = restore_drill_report(read_history(run.path))
        assert report.outcome is expected, report.verdicts
    with psycopg.connect(filled.target.provision.store_dsn("postgres")) as connection:
        assert connection.execute("SELECT to_regnamespace('holdfast_drill')").fetchone() == (None,)


# -- regions -----------------------------------------------------------------------------------------------------------


def failed_over(folder: Path, image: str, plant: str = "", **limits: float) -> Report:
    """Run the drill, judge what it recorded; its namespaces are gone."""
    stack, access = load_stack("sparkle"), find_access()
    primary, secondary = two_namespaces(stack, access, image)
    run = open_run(folder, command=f"drill failover {plant}")
    run.timeline.point("drill.limits", **limits)
    try:
        FailoverDrill(
            stack=stack,
            primary=primary,
            secondary=secondary,
            timeline=run.timeline,
            options=FailoverOptions(plant=plant, before_s=2.0),
        ).carry_out()
    finally:
        run.close()
    for region in (primary, secondary):
        assert region.api.find("Namespace", region.place.namespace) is None
    return failover_report(read_history(run.path))


def test_a_region_is_lost_the_other_takes_over_and_all_goes_back_to_normal(tmp_path: Path, image: str) -> None:
    report = failed_over(tmp_path, image)
    assert set(outcomes(report).values()) == {Outcome.PASS}, report.verdicts
    assert 0 <= report.figures["rpo_s"] < 5
    assert 0 < report.figures["rto_s"] < 60


@pytest.mark.parametrize(("plant", "caught_by"), [("stalled-replica", "rpo"), ("lost-row", "no-holes")])
def test_a_planted_loss_is_found(tmp_path: Path, image: str, plant: str, caught_by: str) -> None:
    report = failed_over(tmp_path, image, plant, rpo_s=1.0)
    failed = {gate for gate, outcome in outcomes(report).items() if outcome is Outcome.FAIL}
    assert failed == {caught_by}, report.verdicts


def test_what_a_killed_failover_drill_left_is_ended_by_the_next_one(
    cluster: Cluster, image: str, tmp_path: Path
) -> None:
    options = ["--home", str(tmp_path), "--target", "cluster", "--image", image]
    argv = [sys.executable, "-P", "-m", "holdfast", "drill", "failover", *options]
    child = subprocess.Popen(argv, env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)})
    try:
        kubernetes.until(lambda: len(regions(cluster, child.pid)) == 2, "both regions are there", 60)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert set(regions(cluster, child.pid)) <= set(sweep(find_access()))
    kubernetes.until(lambda: not regions(cluster, child.pid), "both regions are gone", 120)


def regions(cluster: Cluster, pid: int) -> list[str]:
    names = [item["metadata"]["name"] for item in cluster.get("namespaces")["items"]]
    return [name for name in names if f"-{pid}-" in name]
