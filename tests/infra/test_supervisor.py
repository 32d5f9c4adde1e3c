"""One supervisor, units of a line of Python: started, watched, restarted, adopted, ended, and never left behind."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.stack import nothing_left, processes_of, supervisor_pids, wait_until
from support.supervised import STUBBORN, kill_supervisor

from holdfast.children import Identity, identify
from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import STACK_TAG, UNIT_TAG, Unit

UnitOf = Callable[..., Unit]

LISTENER = """
import signal, time
signal.signal(signal.SIGUSR1, lambda *_: print('heard', flush=True))
print('up', flush=True)
while True:
    time.sleep(1)
"""


def pid_of(client: SupervisorClient, name: str) -> int:
    identity = client.units()[name].identity
    assert identity is not None
    return identity.pid


def test_a_unit_runs_with_its_tags_and_ends_when_stopped(supervisor: SupervisorClient, unit: UnitOf) -> None:
    supervisor.start(unit("one"))
    assert processes_of(supervisor.home) == {pid_of(supervisor, "one"): "one"}
    supervisor.stop(["one", "unknown"])
    assert supervisor.units() == {}
    assert processes_of(supervisor.home) == {}


def test_starting_the_same_unit_again_leaves_its_process_alone(supervisor: SupervisorClient, unit: UnitOf) -> None:
    supervisor.start(unit("one"))
    before = pid_of(supervisor, "one")
    supervisor.start(unit("one"))
    assert pid_of(supervisor, "one") == before
    supervisor.start(unit("one", "import time; time.sleep(500)"))
    assert pid_of(supervisor, "one") != before
    assert len(processes_of(supervisor.home)) == 1


def test_a_killed_unit_is_started_again_and_counted(supervisor: SupervisorClient, unit: UnitOf) -> None:
    supervisor.start(unit("one"))
    before = pid_of(supervisor, "one")
    supervisor.signal(["one"], signal.SIGKILL)
    wait_until(lambda: supervisor.units()["one"].restarts == 1 and supervisor.units()["one"].alive(), "it runs again")
    assert pid_of(supervisor, "one") != before
    assert supervisor.units()["one"].last_exit == -signal.SIGKILL


def test_a_unit_that_must_not_be_restarted_is_not(supervisor: SupervisorClient, unit: UnitOf) -> None:
    supervisor.start(unit("once", "raise SystemExit(7)", restart=False))
    wait_until(lambda: supervisor.units()["once"].last_exit == 7, "its exit is known")
    time.sleep(0.3)
    assert supervisor.units()["once"].restarts == 0


def test_short_lives_are_restarted_later_and_later(supervisor: SupervisorClient, unit: UnitOf, home: Path) -> None:
    supervisor.start(unit("loop", "import time; print(time.monotonic(), flush=True)"))
    log = home / "logs" / "loop.log"
    wait_until(lambda: len(log.read_text().split()) >= 5, "it was started five times")
    times = [float(line) for line in log.read_text().split()[:5]]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[0] >= 0.1
    assert gaps[3] >= 0.8
    assert gaps[3] > gaps[0] * 2


def test_a_signal_reaches_every_unit_that_runs_even_when_one_does_not(
    supervisor: SupervisorClient, unit: UnitOf, home: Path
) -> None:
    supervisor.start(unit("a-gone", "raise SystemExit(0)", restart=False))
    supervisor.start(unit("b-there", LISTENER))
    log = home / "logs" / "b-there.log"
    wait_until(lambda: "up" in log.read_text(), "it listens for signals")
    wait_until(lambda: not supervisor.units()["a-gone"].alive(), "the first is gone")
    with pytest.raises(EnvironmentFailed, match="could not signal") as caught:
        supervisor.signal(["a-gone", "b-there"], signal.SIGUSR1)
    assert "a-gone does not run" in caught.value.because
    wait_until(lambda: "heard" in log.read_text(), "the other got the signal all the same")


def test_a_unit_ends_when_its_time_is_over_and_not_when_that_is_taken_back(
    supervisor: SupervisorClient, unit: UnitOf
) -> None:
    for name in ("ends", "stays"):
        supervisor.start(unit(name))
    supervisor.expire(["ends", "stays"], time.time() + 0.4)
    supervisor.expire(["stays"], None)
    wait_until(lambda: set(supervisor.units()) == {"stays"}, "one of them has ended", 3)
    time.sleep(0.6)
    assert set(supervisor.units()) == {"stays"}
    with pytest.raises(EnvironmentFailed, match="could not expire"):
        supervisor.expire(["ends"], None)


def test_starting_a_unit_again_takes_its_end_back(supervisor: SupervisorClient, unit: UnitOf) -> None:
    supervisor.start(unit("one"))
    supervisor.expire(["one"], time.time() + 60)
    supervisor.start(unit("one"))
    assert supervisor.units()["one"].expires_at is None


def test_a_call_under_an_older_fencing_token_is_refused(supervisor: SupervisorClient, unit: UnitOf) -> None:
    newer, older = (SupervisorClient(supervisor.home, owner=supervisor.owner) for _ in range(2))
    newer.token, older.token = 8, 7
    older.start(unit("one"))
    newer.start(unit("two"))
    calls: list[Callable[[], None]] = [
        lambda: older.start(unit("three")),
        lambda: older.stop(["one"]),
        lambda: older.signal(["one"], signal.SIGTERM),
        lambda: older.expire(["one"], 0.0),
    ]
    for call in calls:
        with pytest.raises(Refused, match="overtaken"):
            call()
    kill_supervisor(supervisor.home)
    with pytest.raises(Refused, match="overtaken"):
        older.stop(["one"])  # the next supervisor knows the token too
    assert set(supervisor.units()) == {"one", "two"}


def test_a_unit_that_does_not_end_is_killed_after_its_grace(
    supervisor: SupervisorClient, unit: UnitOf, home: Path
) -> None:
    supervisor.start(unit("deaf", STUBBORN, grace=0.3))
    wait_until(lambda: "deaf" in (home / "logs" / "deaf.log").read_text(), "it ignores SIGTERM")
    began = time.monotonic()
    supervisor.stop(["deaf"])
    assert 0.3 <= time.monotonic() - began < 2
    assert processes_of(home) == {}


def test_a_crash_is_repaired_while_another_unit_is_being_ended(
    supervisor: SupervisorClient, unit: UnitOf, home: Path
) -> None:
    supervisor.start(unit("deaf", STUBBORN, grace=3.0))
    supervisor.start(unit("edge"))
    wait_until(lambda: "deaf" in (home / "logs" / "deaf.log").read_text(), "it ignores SIGTERM")
    stopping = threading.Thread(target=supervisor.stop, args=(["deaf"],))
    stopping.start()
    other = SupervisorClient(home, owner=supervisor.owner)
    wait_until(lambda: other.units()["deaf"].stopping, "the stop has begun", 2)
    began = time.monotonic()
    Identity.send(other.units()["edge"].identity, signal.SIGKILL)  # type: ignore[arg-type]
    wait_until(lambda: other.units()["edge"].restarts == 1, "the edge runs again", 2)
    assert stopping.is_alive()
    other.start(unit("after"))  # in its turn: after the stop
    assert time.monotonic() - began >= 1.5
    assert set(other.units()) == {"edge", "after"}
    stopping.join(5)


def test_a_new_supervisor_adopts_what_a_killed_one_left(supervisor: SupervisorClient, unit: UnitOf) -> None:
    for name in ("one", "two"):
        supervisor.start(unit(name))
    before = processes_of(supervisor.home)
    kill_supervisor(supervisor.home)
    assert processes_of(supervisor.home) == before
    assert {pid_of(supervisor, name): name for name in ("one", "two")} == before
    supervisor.signal(["one"], signal.SIGKILL)
    wait_until(lambda: supervisor.units()["one"].restarts == 1, "an adopted unit is watched")


def test_a_unit_that_died_with_its_supervisor_is_started_by_the_next(
    supervisor: SupervisorClient, unit: UnitOf
) -> None:
    supervisor.start(unit("one"))
    victim = supervisor.units()["one"].identity
    kill_supervisor(supervisor.home)
    assert victim is not None
    assert victim.send(signal.SIGKILL)
    wait_until(lambda: supervisor.units()["one"].alive(), "it runs again")
    assert pid_of(supervisor, "one") != victim.pid


def test_adoption_takes_the_process_that_was_started_and_not_its_fork(
    supervisor: SupervisorClient, unit: UnitOf, home: Path
) -> None:
    forking = "import os, time; print(os.getpid(), os.fork(), flush=True); time.sleep(600)"
    supervisor.start(unit("forks", forking))
    wait_until(lambda: len((home / "logs" / "forks.log").read_text().split()) == 4, "it has forked")
    parent = pid_of(supervisor, "forks")
    kill_supervisor(home)
    assert pid_of(supervisor, "forks") == parent
    state = home / "state" / "units.json"
    kill_supervisor(home)
    state.write_text(state.read_text().replace(f'"pid":{parent},', '"pid":1,'))  # as if it had not been written down
    assert pid_of(supervisor, "forks") == parent


def test_a_process_that_was_not_written_down_is_ended(supervisor: SupervisorClient, unit: UnitOf, home: Path) -> None:
    supervisor.start(unit("one"))
    kill_supervisor(home)
    stray = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; time.sleep(600)"], env={STACK_TAG: str(home), UNIT_TAG: "stray"}
    )
    try:
        assert set(supervisor.units()) == {"one"}
        assert stray.wait(5) == -signal.SIGTERM
    finally:
        stray.kill()
        stray.wait(5)


def test_what_was_being_ended_when_the_supervisor_died_is_ended_by_the_next(
    supervisor: SupervisorClient, unit: UnitOf, home: Path
) -> None:
    supervisor.start(unit("deaf", STUBBORN, grace=1.0))
    wait_until(lambda: "deaf" in (home / "logs" / "deaf.log").read_text(), "it ignores SIGTERM")
    stopping = threading.Thread(target=supervisor.stop, args=(["deaf"],))
    stopping.start()
    other = SupervisorClient(home, owner=supervisor.owner)
    wait_until(lambda: other.units()["deaf"].stopping, "the stop has begun", 2)
    kill_supervisor(home)
    stopping.join(10)  # the call was made again to the next supervisor
    assert not stopping.is_alive()
    assert other.units() == {}
    assert processes_of(home) == {}


def test_shutdown_ends_all_units_and_the_supervisor(supervisor: SupervisorClient, unit: UnitOf, home: Path) -> None:
    for order in (0, 1, 2):
        supervisor.start(unit(f"unit{order}", order=order))
    supervisor.shutdown()
    nothing_left(home)
    supervisor.ensure()
    assert supervisor.units() == {}


def test_a_supervisor_can_be_started_at_once_after_a_shutdown(
    supervisor: SupervisorClient, unit: UnitOf, home: Path
) -> None:
    for _ in range(3):
        supervisor.start(unit("one"))
        supervisor.shutdown()
    supervisor.ensure()
    assert supervisor.running()


def test_two_commands_at_once_share_one_supervisor(home: Path) -> None:
    clients = [SupervisorClient(home, owner=identify(os.getpid())) for _ in range(3)]
    threads = [threading.Thread(target=client.ensure) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    wait_until(lambda: len(supervisor_pids(home)) == 1, "one supervisor is left")
    clients[0].shutdown()
    nothing_left(home)


def test_a_home_whose_path_is_longer_than_a_socket_address_works(tmp_path: Path, unit: UnitOf) -> None:
    home = tmp_path / ("a" * 100) / ("b" * 100)
    home.mkdir(parents=True)
    client = SupervisorClient(home, owner=identify(os.getpid()))
    client.ensure()
    client.start(unit("one"))
    assert set(client.units()) == {"one"}
    client.shutdown()
    nothing_left(home)
