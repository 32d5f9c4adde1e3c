"""SIGKILL of the deploying process at every point of every protocol; then any next command converges, under traffic."""

from __future__ import annotations

import itertools
import signal
from contextlib import ExitStack, suppress

import pytest
from support.deploy_child import Point, Spec, command, run_child
from support.sample import sample
from support.stack import VERSIONS, Sparkle
from support.traffic import traffic_on

from holdfast.errors import Refused
from holdfast.infra.bluegreen.gradual import with_shares
from holdfast.infra.bluegreen.release import HOLD, RELEASE
from holdfast.infra.bluegreen.rollback import ROLLBACK
from holdfast.journal import nothing

pytestmark = [pytest.mark.crash, pytest.mark.slow]

NEXT = ("resume", "abort", "deploy-same", "deploy-other", "rollback")
AROUND = ("before", "after")
SHARES = [60]  # more than half: the new color counts as the live one before the switch
GRADUAL = with_shares(RELEASE, SHARES)

DEPLOY = [
    Point(at="begin"),
    *(Point(at=at, step=step.name) for step in GRADUAL for at in AROUND),
    Point(at="done", step=HOLD),  # between the lines DONE and PAUSED
    Point(at="paused"),
]
ROLL = [Point(at="begin"), *(Point(at=at, step=s.name) for s in ROLLBACK for at in AROUND), Point(at="finish")]
UNDOABLE = [step.name for step in GRADUAL if step.undo is not nothing and step.name != HOLD]
UNDO = [Point(at=at, step=name) for name in UNDOABLE for at in ("undo-before", "undo-after")]
RETIRE = tuple(step.name for step in RELEASE[[step.name for step in RELEASE].index(HOLD) + 1 :])


def cases(points: list[Point], count: int) -> list[pytest.param]:  # type: ignore[valid-type]
    return [
        pytest.param(point, then, id=f"{point}-then-{then}")
        for point, then in sample(list(itertools.product(points, NEXT)), count)
    ]


def other_than(*versions: str) -> str:
    return next(version for version in VERSIONS if version not in versions)


def go_on(stack: Sparkle, then: str, version: str, origin: str) -> None:
    """The next command. It may be refused only where nothing is left open for it."""
    open_before = stack.journal.open_operation()
    verb, _, which = then.partition("-")
    wanted = other_than(version, origin) if which == "other" else version
    with ExitStack() as allowed:
        if verb != "deploy" and (open_before is None or open_before.done(HOLD)):
            allowed.enter_context(suppress(Refused))
        command(stack, verb, wanted)
    if verb == "deploy":
        assert stack.live_version() == wanted
    assert stack.live_version() in {version, origin, wanted}


def killed(stack: Sparkle, spec: Spec, then: str, version: str, origin: str) -> None:
    with traffic_on(stack) as traffic:
        child = run_child(spec)
        assert child.returncode == -signal.SIGKILL, child.stdout + child.stderr
        assert stack.get().status_code == 200
        go_on(stack, then, version, origin)
        stack.converged()
    traffic.check()


@pytest.mark.parametrize(("point", "then"), cases(DEPLOY, 4))
def test_a_deploy_killed_at_any_point_converges_by_any_next_command(stack: Sparkle, point: Point, then: str) -> None:
    origin = stack.live_version()
    version = other_than(origin)
    verb = "deploy"
    if point.step in RETIRE:
        command(stack, "deploy", version)
        verb = "promote"
    spec = Spec(home=str(stack.home.root), verb=verb, version=version, shares=SHARES, point=point)
    killed(stack, spec, then, version, origin)


@pytest.mark.parametrize(("point", "then"), cases(ROLL, 3))
def test_a_rollback_killed_at_any_point_converges_by_any_next_command(stack: Sparkle, point: Point, then: str) -> None:
    origin = stack.live_version()
    version = other_than(origin)
    command(stack, "deploy", version)
    spec = Spec(home=str(stack.home.root), verb="rollback", point=point)
    killed(stack, spec, then, version, origin)


@pytest.mark.parametrize(("point", "then"), cases(UNDO, 2))
def test_an_undo_killed_at_any_point_converges_by_any_next_command(stack: Sparkle, point: Point, then: str) -> None:
    origin = stack.live_version()
    version = other_than(origin)
    spec = Spec(home=str(stack.home.root), verb="deploy", version=version, shares=SHARES, fail="reconcile", point=point)
    killed(stack, spec, then, version, origin)
    if then in {"abort", "resume", "rollback"}:
        assert stack.live_version() == origin


SUPERVISOR = [
    *(Point(at=at, step=s.name) for s in GRADUAL if s.name not in RETIRE for at in ("before", "after")),
]


@pytest.mark.parametrize("point", [pytest.param(p, id=str(p)) for p in sample(SUPERVISOR, 2)])
def test_a_deploy_goes_on_when_the_supervisor_is_killed(stack: Sparkle, point: Point) -> None:
    version = other_than(stack.live_version())
    spec = Spec(
        home=str(stack.home.root), verb="deploy", version=version, shares=SHARES, point=point, victim="supervisor"
    )
    with traffic_on(stack) as traffic:
        child = run_child(spec)
        assert child.returncode == 0, child.stdout + child.stderr
        assert stack.live_version() == version
        stack.target.supervisor.ensure()
        stack.converged()
    traffic.check()


@pytest.mark.parametrize(
    "point",
    [pytest.param(p, id=str(p)) for p in sample([p for p in ROLL if p.at in ("before", "after")], 1)],
)
def test_a_rollback_goes_on_when_the_supervisor_is_killed(stack: Sparkle, point: Point) -> None:
    origin = stack.live_version()
    command(stack, "deploy", other_than(origin))
    spec = Spec(home=str(stack.home.root), verb="rollback", point=point, victim="supervisor")
    with traffic_on(stack) as traffic:
        child = run_child(spec)
        assert child.returncode == 0, child.stdout + child.stderr
        assert stack.live_version() == origin
        stack.target.supervisor.ensure()
        stack.converged()
    traffic.check()
