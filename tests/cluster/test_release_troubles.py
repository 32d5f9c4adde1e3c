"""What goes wrong around a release on a cluster, and must be caught: each by itself, under traffic, and undone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from support import kubernetes
from support.cable import cable_to
from support.cluster_stack import ClusterSparkle, cluster_sparkle, cluster_target, quick_cluster_stack
from support.deploy_child import AnySchema, another, refused
from support.stack import refusal, releases_of, verdict, wait_until
from support.traffic import traffic_on

from holdfast.errors import GateFailed
from holdfast.infra.home import Home
from holdfast.infra.program.colored_service import COLOR
from holdfast.infra.program.model import Autoscale
from holdfast.infra.release import read_release
from holdfast.infra.targets.cluster import autoscale, images, pods
from holdfast.verdict import Outcome

LONGEST_S = 170.0
SCALE = Autoscale(least=1, most=3, cpu_percent=1000)
NOWHERE = "localhost/nowhere@sha256:" + "0" * 64


@pytest.fixture(scope="module")
def live(was_up: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSparkle]:
    """A stack with autoscalers, two pods a color, with its first release live."""
    kubernetes.succeed("up")
    releases = releases_of(tmp_path_factory.mktemp("releases"))
    wanted = quick_cluster_stack(2, autoscale=SCALE)
    with cluster_sparkle(tmp_path_factory.mktemp("live"), releases, stack=wanted) as stack:
        stack.desk().deploy("v1")
        for service, color in stack.placement().items():
            assert bounds(stack, f"{service}-{color}") == (SCALE.least, SCALE.most)
        yield stack


@pytest.fixture
def stack(live: ClusterSparkle) -> Iterator[ClusterSparkle]:
    settled(live)
    yield live
    settled(live)


def settled(stack: ClusterSparkle) -> None:
    """Nothing is open or held, two pods of one color serve, as wide as planned."""
    narrow(stack)
    stack.settle()
    narrow(stack)  # the end of a release gives the autoscalers their choice again
    stack.converged()
    assert stack.target.noted() == ""


def narrow(stack: ClusterSparkle) -> None:
    """Two pods a service, and no choice for the autoscalers."""
    for service, color in stack.placement().items():
        autoscale.bound(stack.target.api, service, color, 2, 2)
        stack.target.api.patch("Deployment", f"{service}-{color}", {"spec": {"replicas": 2}}, under="scale")


def bounds(stack: ClusterSparkle, name: str) -> tuple[int, int]:
    spec = stack.target.api.get("HorizontalPodAutoscaler", name)["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def test_green_without_a_pod_after_the_switch_does_not_stop_the_way_back(stack: ClusterSparkle) -> None:
    origin, version = stack.live_version(), another(stack)
    stack.desk().deploy(version)
    for service, color in stack.placement().items():
        stack.target.api.delete("HorizontalPodAutoscaler", f"{service}-{color}")
        stack.target.api.patch("Deployment", f"{service}-{color}", {"spec": {"replicas": 0}}, under="scale")
    wait_until(lambda: stack.chat().status_code == 503, "green does not answer", 60)
    answered: list[float] = []

    def ask() -> None:
        while not answered and time.monotonic() < begin + 30:
            if stack.chat().status_code == 200:
                answered.append(time.monotonic())

    left = stack.placement()
    begin = time.monotonic()
    user = threading.Thread(target=ask)
    user.start()
    assert stack.desk(schema=None, gate=None).rollback().state == "done"
    user.join(40)
    assert stack.target.held_until(left), "what is left of green has no end"
    for service, color in stack.placement().items():
        assert bounds(stack, f"{service}-{color}") == (SCALE.least, SCALE.most)
    assert answered, "nobody answered again"
    print(f"first answer {answered[0] - begin:.2f} s after the rollback was asked for")
    assert answered[0] - begin < 3.0  # 0.5 s on a machine of its own: scripts/bench cluster_switch measures it
    assert stack.live_version() == origin


def test_an_api_server_that_is_away_for_half_a_minute_in_mid_switch_is_waited_for(
    stack: ClusterSparkle, tmp_path: Path
) -> None:
    kubeconfig = Path(stack.target.provision.access.kubeconfig)
    version = another(stack)
    with cable_to(kubeconfig, tmp_path) as (cable, over), traffic_on(stack, LONGEST_S) as traffic:
        away = ClusterSparkle(stack.stack, stack.home, cluster_target(stack.stack, stack.home, kubeconfig=str(over)))
        write = away.target.switch.write
        cut: list[float] = []

        def written(routes: Any) -> int:
            if routes.live("gateway") != stack.live()["gateway"] and not cut:
                cut.append(time.monotonic())
                cable.pull()
                threading.Timer(30, cable.plug).start()
            return write(routes)

        away.target.switch.write = written  # type: ignore[method-assign]
        assert away.desk(schema=AnySchema()).deploy(version).state == "holding"
        assert cut
        assert time.monotonic() - cut[0] > 30
        stack.converged()
        for run in away.runs:
            run.close()
    traffic.check()
    assert stack.live_version() == version


def test_a_second_operator_from_another_home_is_refused_during_a_release_and_in_its_hold(
    stack: ClusterSparkle, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home").make()
    other = ClusterSparkle(stack.stack, home, cluster_target(stack.stack, home))
    for release in ("v1", "v2", "v3"):
        (home.releases / release).symlink_to(stack.home.releases / release)
    version, said = another(stack), []

    def gate(*_: object) -> Any:
        said.append(refused(other, "deploy", version))
        return verdict()

    stack.desk(gate=gate).deploy(version)
    assert "another operation is going on" in said[0].what
    assert f"holdfast deploy {version}" in said[0].because
    held = refused(other, "rollback")
    assert "an operation is open elsewhere" in held.what
    assert str(stack.home.root) in held.because
    assert "abort --set-aside" in held.way_out
    before = stack.live()
    assert other.desk(schema=AnySchema()).abort(set_aside=True).state == "set aside"
    assert stack.live() == before
    assert stack.target.noted() == ""
    assert "nothing to roll back to" in refused(stack, "rollback").what
    assert stack.last().outcome == "overtaken"
    for run in other.runs:
        run.close()


def test_an_autoscaler_changes_no_color_while_the_traffic_moves(stack: ClusterSparkle) -> None:
    (service, color), *_ = stack.placement().items()
    autoscale.bound(stack.target.api, service, color, 3, 3)
    wait_until(lambda: stack.target.size_of(service, color) == 3, "the autoscaler has grown the live color", 60)
    seen: list[tuple[int, int]] = []

    def gate(*_: object) -> Any:
        seen.extend(bounds(stack, f"{service}-{one}") for one in ("blue", "green"))
        seen.append((stack.target.size_of(service, "blue"), stack.target.size_of(service, "green")))
        return verdict()

    stack.desk(gate=gate).deploy(another(stack))
    assert seen == [(3, 3), (3, 3), (3, 3)]
    live = stack.placement()[service]
    assert bounds(stack, f"{service}-{live}") == (SCALE.least, SCALE.most)
    assert bounds(stack, f"{service}-{color}") == (3, 3)  # the way back is as wide as it was


def test_a_selector_that_was_edited_by_hand_is_named_and_not_overwritten(stack: ClusterSparkle) -> None:
    live = stack.placement()["gateway"]
    idle = "green" if live == "blue" else "blue"
    stack.target.api.patch("Service", "gateway", {"spec": {"selector": {COLOR: idle}}})
    try:
        assert stack.target.drift() == [f"Service gateway: its selector leads to {idle}, not {live}"]
        error = refusal(lambda: stack.desk(schema=AnySchema()).deploy(another(stack)))
        assert "changed by hand" in error.what
        assert f"its selector leads to {idle}" in error.because
        assert stack.journal.open_operation() is None
    finally:
        stack.target.api.patch("Service", "gateway", {"spec": {"selector": {COLOR: live}}})
    assert stack.target.drift() == []


def test_an_image_that_cannot_be_had_is_said_quickly_and_undone(stack: ClusterSparkle) -> None:
    origin, version = stack.live_version(), another(stack)
    release = read_release(version, stack.home.releases)
    kept = images.require(stack.home, release)
    images.keep(stack.home, release, images.Image(reference=NOWHERE))
    begin = time.monotonic()
    try:
        with traffic_on(stack, LONGEST_S) as traffic, pytest.raises(GateFailed) as found:
            stack.desk(schema=AnySchema()).deploy(version)
        assert time.monotonic() - begin < 60
        assert "ErrImage" in found.value.because or "ImagePullBackOff" in found.value.because
        assert "nowhere" in found.value.because
    finally:
        images.keep(stack.home, release, kept)
    traffic.check()
    assert stack.live_version() == origin
    assert stack.last().outcome == "undone"


def test_a_quota_that_is_exceeded_is_said_quickly_and_undone(stack: ClusterSparkle) -> None:
    there = len(stack.target.api.list("Pod"))
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "tight"},
        "spec": {"hard": {"pods": str(there + 1)}},
    }
    stack.target.api.create(quota)
    wait_until(lambda: "used" in stack.target.api.get("ResourceQuota", "tight").get("status", {}), "it counts", 20)
    try:
        with traffic_on(stack, LONGEST_S) as traffic, pytest.raises(GateFailed) as found:
            stack.desk(schema=AnySchema()).deploy(another(stack))
        assert "exceeded quota: tight" in found.value.because
    finally:
        stack.target.api.delete("ResourceQuota", "tight")
    traffic.check()
    assert stack.last().outcome == "undone"


def test_a_node_that_is_drained_in_the_hold_window_costs_neither_color(stack: ClusterSparkle) -> None:
    origin = stack.live_version()
    stack.desk().deploy(another(stack))
    with traffic_on(stack, LONGEST_S) as traffic:
        for service in stack.stack.services:
            for color in ("blue", "green"):
                for pod in pods.of_color(stack.target.api, stack.target.place, service, color):
                    stack.target.api.evict(pods.name(pod))  # waits for the disruption budget
        stack.target.wait_ready({"gateway": "blue", "engine": "blue"})
        stack.target.wait_ready({"gateway": "green", "engine": "green"})
        assert stack.desk().rollback().state == "done"
        stack.converged()
    traffic.check()
    assert stack.live_version() == origin


def test_a_release_that_fails_its_watch_goes_back_under_traffic(stack: ClusterSparkle) -> None:
    origin = stack.live_version()
    with traffic_on(stack, LONGEST_S) as traffic:
        with pytest.raises(GateFailed):
            stack.desk(schema=AnySchema(), watch=lambda *_: verdict(Outcome.FAIL)).deploy(another(stack))
        stack.converged()
    traffic.check()
    assert stack.live_version() == origin


def test_the_releases_config_is_the_colors_own_and_cannot_change(stack: ClusterSparkle) -> None:
    found = [m for m in stack.target.api.list("ConfigMap") if m["metadata"]["name"].startswith("gateway-")]
    assert len(found) == 1
    assert found[0]["immutable"] is True
    config = read_release(stack.live_version(), stack.home.releases).path
    assert msgspec.json.decode(found[0]["data"]["config.json"]) == msgspec.json.decode(
        (Path(config) / "config.json").read_bytes()
    )
    assert httpx.get(f"{stack.url}/v1/whoami").json()["version"] == stack.live_version()
