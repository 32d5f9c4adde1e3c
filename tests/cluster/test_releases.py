"""Releases on the cluster, under traffic: forward, back, forward, done; by shares; killed around each step."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support import kubernetes
from support.cluster_stack import ClusterSparkle, cluster_sparkle, quick_cluster_stack
from support.deploy_child import Point, Spec, another, command, run_child
from support.stack import releases_of
from support.traffic import Traffic, traffic_on

from holdfast.errors import Refused
from holdfast.infra.bluegreen.release import HOLD, RELEASE
from holdfast.infra.bluegreen.rollback import ROLLBACK
from holdfast.timeline import read_events

LONGEST_S = 170.0
CHILD_S = 150.0


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return releases_of(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def live(was_up: bool, releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSparkle]:
    """A stack of one pod a color, with its first release live."""
    kubernetes.succeed("up")
    with cluster_sparkle(tmp_path_factory.mktemp("live"), releases, stack=quick_cluster_stack(1)) as stack:
        stack.desk().deploy("v1")
        yield stack


@pytest.fixture
def stack(live: ClusterSparkle) -> Iterator[ClusterSparkle]:
    """Nothing is open or held, before and after."""
    settle(live)
    yield live
    settle(live)


def settle(stack: ClusterSparkle) -> None:
    if stack.journal.open_operation():
        stack.desk().promote()
    stack.settle()
    assert all(len(colors) == 1 for colors in stack.colors_there().values()), stack.colors_there()
    assert stack.target.noted() == ""


def on(stack: ClusterSparkle) -> Traffic:
    return traffic_on(stack, LONGEST_S)


def test_forward_back_forward_and_done_lose_nothing(stack: ClusterSparkle) -> None:
    origin, version = stack.live_version(), another(stack)
    with on(stack) as traffic:
        assert stack.desk().deploy(version).state == "holding"
        assert stack.live_version() == version
        assert version in stack.target.noted()
        stack.converged()
        assert stack.desk().rollback().state == "done"
        assert stack.live_version() == origin
        stack.converged()
        assert stack.desk().deploy(version).state == "holding"
        assert stack.desk().promote().state == "done"
        stack.converged()
    traffic.check()


def test_the_traffic_moves_by_shares(stack: ClusterSparkle) -> None:
    version = another(stack)
    with on(stack) as traffic:
        assert stack.desk().deploy(version, shares=[25, 60]).state == "holding"
        stack.converged()
    traffic.check()
    events = read_events(stack.runs[-1].path / "timeline.jsonl")
    assert [event.data["share"] for event in events if event.name == "shift"] == [25, 60]


POINTS = [
    Point(at="begin"),
    *(Point(at=at, step=step.name) for step in RELEASE for at in ("before", "after")),
    Point(at="paused"),
]
AFTER = ("resume", "abort", "deploy")
BACK = [Point(at=at, step=step.name) for step in ROLLBACK for at in ("before", "after")]
PAST_HOLD = tuple(step.name for step in RELEASE[[step.name for step in RELEASE].index(HOLD) + 1 :])


def cases(points: list[Point]) -> list[object]:
    """Each point with one next command, in turn; the local suite tries every pair."""
    return [pytest.param(p, then, id=f"{p}-then-{then}") for p, then in zip(points, itertools.cycle(AFTER))]


@pytest.mark.parametrize(("point", "then"), cases(POINTS))
def test_a_deploy_killed_at_any_step_converges(stack: ClusterSparkle, point: Point, then: str) -> None:
    verb, version = "deploy", another(stack)
    if point.step in PAST_HOLD:
        verb = "promote"
        command(stack, "deploy", version)
    killed(
        stack, Spec(home=str(stack.home.root), verb=verb, version=version, space=stack.stack.name, point=point), then
    )


@pytest.mark.parametrize(("point", "then"), cases(BACK))
def test_a_rollback_killed_at_any_step_converges(stack: ClusterSparkle, point: Point, then: str) -> None:
    origin, version = stack.live_version(), another(stack)
    command(stack, "deploy", version)
    killed(stack, spec_of(stack, "rollback", point), then)
    assert then == "deploy" or stack.live_version() == origin


def spec_of(stack: ClusterSparkle, verb: str, point: Point, version: str = "") -> Spec:
    return Spec(home=str(stack.home.root), verb=verb, version=version, space=stack.stack.name, point=point)


def killed(stack: ClusterSparkle, spec: Spec, then: str) -> None:
    """Kill a command at its point, go on with another, and nothing was lost meanwhile."""
    with on(stack) as traffic:
        child = run_child(spec, timeout=CHILD_S)
        assert child.returncode == -signal.SIGKILL, child.stdout + child.stderr
        assert stack.get().status_code == 200
        with suppress(*([] if then == "deploy" else [Refused])):
            command(stack, then, spec.version or another(stack))
        if (left := stack.journal.open_operation()) and left.paused_at != HOLD:
            command(stack, "resume")
        stack.converged()
    traffic.check()
