"""An owned stack ends with its owner, whatever its units, its calls or its supervisor do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.stack import nothing_left, processes_of, wait_until
from support.supervised import STUBBORN, kill_supervisor

from holdfast.children import identify
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import Unit

UnitOf = Callable[..., Unit]

OWNER = """
import os, sys, time
from pathlib import Path
from holdfast.children import identify
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import Unit
home = Path(sys.argv[1])
client = SupervisorClient(home, owner=identify(os.getpid()))
client.ensure()
client.start(Unit(name="one", argv=[sys.executable, "-S", "-c", sys.argv[2]], env={}, log=str(home / "one.log")))
print("up", flush=True)
time.sleep(600)
"""


def owner_of(home: Path, code: str = "import time; time.sleep(600)") -> subprocess.Popen[bytes]:
    """A process that owns a stack of one unit."""
    owner = subprocess.Popen([sys.executable, "-P", "-c", OWNER, str(home), code], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.read(3) == b"up\n"
    owner.stdout.close()
    return owner


@pytest.mark.parametrize("code", ["import time; time.sleep(600)", STUBBORN], ids=["willing", "deaf"])
def test_an_owned_stack_ends_within_five_seconds_of_its_owners_death(home: Path, code: str) -> None:
    owner = owner_of(home, code)
    owner.kill()
    owner.wait()
    began = time.monotonic()
    nothing_left(home)
    assert time.monotonic() - began < 5


def test_the_owners_death_does_not_wait_for_a_stop_that_goes_on(home: Path, unit: UnitOf) -> None:
    owner = owner_of(home)
    client = SupervisorClient(home)
    client.start(unit("deaf", STUBBORN, grace=30.0))
    wait_until(lambda: "deaf" in (home / "logs" / "deaf.log").read_text(), "it ignores SIGTERM")
    caller = subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-c",
            "import sys; from pathlib import Path; from holdfast.infra.supervisor.client import SupervisorClient\n"
            "SupervisorClient(Path(sys.argv[1])).stop(['deaf'])",
            str(home),
        ]
    )
    wait_until(lambda: client.units()["deaf"].stopping, "the stop has begun")
    caller.kill()
    caller.wait()
    owner.kill()
    owner.wait()
    began = time.monotonic()
    nothing_left(home)
    assert time.monotonic() - began < 5


def test_an_owned_stack_whose_supervisor_was_killed_first_is_swept_by_the_next_command(
    home: Path, unit: UnitOf
) -> None:
    owner = owner_of(home)
    kill_supervisor(home)
    owner.kill()
    owner.wait()
    assert len(processes_of(home)) == 1
    for next_owner in (None, identify(os.getpid())):
        client = SupervisorClient(home, owner=next_owner)
        client.ensure()
        assert client.units() == {}
        assert processes_of(home) == {}
        client.start(unit("mine"))
        client.shutdown()
        nothing_left(home)
