"""What goes wrong around a release beside kills: two at once, stores, disks, journals, interrupts, times that end."""

from __future__ import annotations

import _thread
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.deploy_child import AnySchema, Point, Spec, command, refused, run_child
from support.sample import sample
from support.stack import Sparkle, verdict, wait_until
from support.traffic import traffic_on

from holdfast.errors import EnvironmentFailed, ExitCode, GateFailed, GateUnknown, HoldfastError, Interrupted, Refused
from holdfast.infra.bluegreen.release import RELEASE
from holdfast.infra.release import build_release, remove_releases
from holdfast.journal import nothing
from holdfast.verdict import Outcome

pytestmark = [pytest.mark.crash, pytest.mark.slow]


# -- two at once -------------------------------------------------------------------------------------------------------


def test_a_second_deploy_is_refused_with_who_holds_the_lock_since_when_and_the_way_out(
    stack: Sparkle, version: str
) -> None:
    inside, leave = threading.Event(), threading.Event()

    def gate(_: object) -> Any:
        inside.set()
        leave.wait(20)
        return verdict()

    first = threading.Thread(target=command, args=(stack, "deploy", version), kwargs={"gate": gate})
    first.start()
    try:
        assert inside.wait(20)
        error = refused(stack, "deploy", version)
        assert error.code == ExitCode.REFUSED
        assert f"`holdfast deploy {version}` (process {os.getpid()}), since {time.strftime('%Y-')}" in error.because
        assert "holdfast resume" in error.way_out
        for verb in ("rollback", "abort", "resume", "promote"):
            assert "another operation is going on" in refused(stack, verb).what
    finally:
        leave.set()
        first.join(30)
    assert stack.live_version() == version
    stack.converged()


# -- gates -------------------------------------------------------------------------------------------------------------


VERDICTS = [
    (port, outcome, kind)
    for port in ("gate", "watch", "reconcile")
    for outcome, kind in ((Outcome.FAIL, GateFailed), (Outcome.UNKNOWN, GateUnknown))
]


@pytest.mark.parametrize(("port", "outcome", "kind"), sample(VERDICTS, 3))
def test_a_gate_that_fails_or_does_not_know_leads_back_under_traffic(
    stack: Sparkle, origin: str, version: str, port: str, outcome: Outcome, kind: type[HoldfastError]
) -> None:
    with traffic_on(stack) as traffic:
        says: dict[str, Any] = {port: lambda *_: verdict(outcome)}
        with pytest.raises(kind):
            command(stack, "deploy", version, **says)
        stack.converged()
    traffic.check()
    assert stack.live_version() == origin
    assert stack.last().outcome == "undone"


def test_an_error_that_nobody_foresaw_leads_back_too(stack: Sparkle, origin: str, version: str) -> None:
    def broken(*_: object) -> Any:
        raise ZeroDivisionError("a bug in a gate")

    with pytest.raises(ZeroDivisionError):
        command(stack, "deploy", version, watch=broken)
    assert (stack.live_version(), stack.last().outcome) == (origin, "undone")
    stack.converged()


def test_ctrl_c_in_the_middle_of_a_deploy_undoes_it(stack: Sparkle, origin: str, version: str) -> None:
    def interrupted(*_: object) -> Any:
        _thread.interrupt_main()
        time.sleep(5)
        return verdict()

    with traffic_on(stack) as traffic:
        with pytest.raises(Interrupted, match="interrupted"):
            command(stack, "deploy", version, watch=interrupted)
        stack.converged()
    traffic.check()
    assert (stack.live_version(), stack.last().outcome) == (origin, "undone")


# -- pauses and holds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", sample(["ready", "prove-idle", "drain"], 1))
def test_a_release_paused_by_until_is_resumed_or_aborted_and_stands_in_the_way_of_others(
    stack: Sparkle, origin: str, version: str, step: str
) -> None:
    result = stack.desk(schema=AnySchema()).deploy(version, until=step)
    assert (result.state, result.step) == ("paused", step)
    assert f"paused after {step}" in refused(stack, "deploy", version).what
    command(stack, "abort")
    assert stack.live_version() == origin
    stack.converged()
    stack.desk(schema=AnySchema()).deploy(version, until=step)
    command(stack, "resume")
    assert stack.live_version() == version
    stack.converged()


def test_until_holds_for_a_release_that_a_kill_had_cut_off(stack: Sparkle, origin: str, version: str) -> None:
    point = Point(at="before", step="ready")
    run_child(Spec(home=str(stack.home.root), verb="deploy", version=version, point=point))
    result = stack.desk(schema=AnySchema()).deploy(version, until="prove-idle")
    assert (result.state, result.step, stack.live_version()) == ("paused", "prove-idle", origin)
    command(stack, "abort")


def test_deploying_what_is_held_keeps_the_way_back(stack: Sparkle, origin: str, version: str) -> None:
    command(stack, "deploy", version)
    assert command(stack, "deploy", version).state == "holding"
    command(stack, "rollback")
    assert stack.live_version() == origin
    assert command(stack, "deploy", origin).state == "already live"


def test_the_supervisor_retires_the_old_color_when_the_hold_is_over_and_then_there_is_no_way_back(
    stack: Sparkle, origin: str, version: str
) -> None:
    before = set(stack.units())
    stack.desk(schema=AnySchema()).deploy(version, hold_s=1.0)
    assert set(stack.units()) > before - {"edge"}
    wait_until(lambda: len(stack.units()) == len(before), "the old color has ended by itself", 5)
    for verb in ("rollback", "abort"):
        error = refused(stack, verb)
        assert "nothing to roll back to" in error.what
        assert f"holdfast deploy {origin}" in error.way_out
        assert (stack.live_version(), stack.get().status_code) == (version, 200)
    assert command(stack, "resume").state == "done"
    stack.converged()


@pytest.mark.parametrize("late", sample([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 2))
def test_a_rollback_at_the_very_end_of_the_hold_goes_back_whole_or_is_refused_whole(
    stack: Sparkle, origin: str, version: str, late: float
) -> None:
    stack.desk(schema=AnySchema()).deploy(version, hold_s=0.6)
    time.sleep(0.3 + late)
    with traffic_on(stack) as traffic:
        try:
            command(stack, "rollback")
            expected = origin
        except Refused:
            expected = version
        time.sleep(0.7)
    traffic.check()
    assert stack.live_version() == expected


# -- rollback asks nothing ---------------------------------------------------------------------------------------------


def quick_rollback(stack: Sparkle) -> None:
    began = time.monotonic()
    assert command(stack, "rollback").state == "done"
    assert time.monotonic() - began < 1.0


def test_rollback_needs_nothing_of_the_color_that_it_leaves(stack: Sparkle, origin: str, version: str) -> None:
    command(stack, "deploy", version)
    live = stack.live()
    for name in [unit for unit in stack.units() if any(unit.startswith(f"{s}-{c}-") for s, c in live.items())]:
        stack.target.supervisor.signal([name], signal.SIGSTOP)  # it neither answers nor ends
    try:
        quick_rollback(stack)
        assert (stack.live_version(), stack.chat().status_code) == (origin, 200)
    finally:
        for name in stack.units():
            stack.target.supervisor.signal([name], signal.SIGCONT)


def test_rollback_works_while_the_database_is_dead(stack: Sparkle, origin: str, version: str) -> None:
    command(stack, "deploy", version)
    data = stack.home.data / "postgres"
    control = data / "global" / "pg_control"
    control.rename(control.with_suffix(".away"))  # whoever starts it again fails
    try:
        stack.target.kill("postgres")
        wait_until(lambda: stack.units()["postgres"].restarts >= 2, "PostgreSQL does not come back")
        quick_rollback(stack)
        assert (stack.live_version(), stack.get().status_code) == (origin, 200)
    finally:
        control.with_suffix(".away").rename(control)
    wait_until(lambda: stack.chat().status_code == 200, "PostgreSQL is back", 20)


def test_the_way_back_needs_no_release_folder(stack: Sparkle, origin: str, tmp_path: Path) -> None:
    source = Path(__file__).resolve().parents[2] / "infra" / "services"
    for number, back in enumerate(("rollback", "abort")):
        version = f"gone-{number}"
        build_release(version, source, stack.home.releases)
        if back == "rollback":
            command(stack, "deploy", version)
        else:
            point = Point(at="before", step="watch")
            run_child(Spec(home=str(stack.home.root), verb="deploy", version=version, point=point))
        remove_releases(stack.home.releases / version)
        if back == "rollback":
            quick_rollback(stack)
        else:
            command(stack, back)
        assert stack.live_version() == origin
        stack.converged()


# -- undo that fails ---------------------------------------------------------------------------------------------------


class Stuck(AnySchema):
    """A schema whose additions cannot be taken back now."""

    def drop_expansion(self, back_to: str | None) -> None:
        raise EnvironmentFailed("the database did not answer", because="the test says so")


def test_an_undo_that_fails_leaves_the_operation_open_and_abort_finishes_it(
    stack: Sparkle, origin: str, version: str
) -> None:
    desk = stack.desk(schema=Stuck(), gate=lambda placement: verdict(Outcome.FAIL))
    with pytest.raises(EnvironmentFailed, match="could not be undone completely") as caught:
        desk.deploy(version)
    assert "holdfast abort" in caught.value.way_out
    operation = stack.journal.open_operation()
    assert operation is not None
    assert operation.undone("start-idle"), "the other undos were carried out"
    assert not operation.undone("expand")
    assert command(stack, "abort").state == "undone"
    assert stack.live_version() == origin
    stack.converged()


def test_postgres_killed_in_the_middle_of_a_release_ends_whole_or_undone(
    stack: Sparkle, origin: str, version: str
) -> None:
    def kill(*_: object) -> Any:
        stack.target.kill("postgres")
        return verdict()

    desk = stack.desk(gate=kill)  # with the real schema window
    state = desk.deploy(version).state
    assert (state, stack.live_version()) == ("holding", version)
    wait_until(lambda: stack.chat().status_code == 200, "PostgreSQL is back", 20)
    stack.converged()

    def kill_and_fail(*_: object) -> Any:
        stack.target.kill("postgres")
        return verdict(Outcome.FAIL)

    command(stack, "promote")
    with pytest.raises(HoldfastError):
        stack.desk(gate=kill_and_fail).deploy(origin)
    wait_until(lambda: stack.chat().status_code == 200, "PostgreSQL is back", 20)
    if stack.journal.open_operation():
        command(stack, "abort")
    assert stack.live_version() == version
    stack.converged()


def test_every_step_of_a_dry_run_says_what_it_does_and_nothing_is_done(stack: Sparkle, version: str) -> None:
    before, units = stack.home.journal.stat().st_mtime_ns, set(stack.units())
    steps = stack.desk(schema=AnySchema()).dry_run(version)
    assert [name for name, _, _ in steps] == [step.name for step in RELEASE]
    assert all(does for _, does, _ in steps)
    assert [bool(undo) for _, _, undo in steps] == [step.undo is not nothing for step in RELEASE]
    assert (stack.home.journal.stat().st_mtime_ns, set(stack.units())) == (before, units)


def test_a_changed_release_is_refused_before_anything_is_done(stack: Sparkle, origin: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(Path(__file__).resolve().parents[2] / "infra" / "services", source)
    release = build_release("changed", source, stack.home.releases)
    file = Path(release.path) / "services" / "serve.py"
    file.chmod(0o644)
    file.write_text("# other\n")
    operations = len(stack.journal.operations())
    assert "is not what was built" in refused(stack, "deploy", "changed").what
    assert len(stack.journal.operations()) == operations
    assert stack.live_version() == origin
    remove_releases(Path(release.path))
