"""An owned stack whose owner and supervisor were both killed is swept by the next command, and no other stack is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.stack import nothing_left, processes_of
from support.supervised import STUBBORN, kill_supervisor

from holdfast.children import identify
from holdfast.infra.home import Home
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import Unit
from holdfast.infra.targets.local.orphans import sweep_orphans

OWNER = """
import os, sys, time
from pathlib import Path
from holdfast.children import identify
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import Unit
home = Path(sys.argv[1])
client = SupervisorClient(home, owner=identify(os.getpid()))
client.ensure()
for name in ("one", "two"):
    client.start(Unit(name=name, argv=[sys.executable, "-S", "-c", sys.argv[2]], env={}, log=str(home / "one.log")))
print("up", flush=True)
time.sleep(600)
"""
SLEEP = "import time; time.sleep(600)"
Orphan = Callable[..., Path]


@pytest.fixture
def at(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").make()


@pytest.fixture
def orphan(at: Home) -> Iterator[Orphan]:
    """A stack of two units in HOME/runs/NAME/stack, whose supervisor and owner were killed in that order."""
    made = []

    def make(name: str, code: str = SLEEP) -> Path:
        stack = at.runs / name / "stack"
        stack.mkdir(parents=True)
        made.append(stack)
        argv = [sys.executable, "-P", "-c", OWNER, str(stack), code]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as owner:
            assert owner.stdout is not None
            assert owner.stdout.read(3) == b"up\n"
            kill_supervisor(stack)
            owner.kill()
        assert sorted(processes_of(stack).values()) == ["one", "two"]
        return stack

    yield make
    for stack in made:
        if processes_of(stack):
            client = SupervisorClient(stack)
            client.ensure()
            client.shutdown()
        nothing_left(stack)


@pytest.mark.parametrize("code", [SLEEP, STUBBORN], ids=["willing", "deaf"])
def test_a_stack_whose_owner_and_supervisor_were_killed_is_swept(at: Home, orphan: Orphan, code: str) -> None:
    stack = orphan("run-1", code)
    assert sweep_orphans(at) == [str(stack)]
    assert processes_of(stack) == {}
    nothing_left(stack)
    assert sweep_orphans(at) == []


def test_all_that_were_left_are_swept_at_once(at: Home, orphan: Orphan) -> None:
    stacks = [orphan(name) for name in ("run-2", "run-1")]
    assert sweep_orphans(at) == sorted(map(str, stacks))
    for stack in stacks:
        nothing_left(stack)


def test_a_stack_whose_owner_lives_is_left_alone(at: Home) -> None:
    stack = at.runs / "mine" / "stack"
    stack.mkdir(parents=True)
    client = SupervisorClient(stack, owner=identify(os.getpid()))
    client.ensure()
    unit = Unit(name="one", argv=[sys.executable, "-S", "-c", SLEEP], env={}, log=str(stack / "one.log"))
    client.start(unit)
    before = processes_of(stack)
    try:
        assert sweep_orphans(at) == []
        kill_supervisor(stack)
        assert sweep_orphans(at) == []
        assert processes_of(stack) == before
    finally:
        client.ensure()
        client.shutdown()
    nothing_left(stack)


def test_a_stack_below_another_home_is_left_alone(at: Home, orphan: Orphan, tmp_path: Path) -> None:
    stack = orphan("run-1")
    assert sweep_orphans(Home(tmp_path / "other")) == []
    assert len(processes_of(stack)) == 2


def test_a_home_without_anything_is_no_trouble(tmp_path: Path) -> None:
    assert sweep_orphans(Home(tmp_path / "nowhere")) == []
