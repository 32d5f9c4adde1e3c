"""An `up` that fails or is interrupted leaves nothing behind, and takes nothing away that ran before."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deploy_child import child_environ
from support.stack import nothing_left, processes_of, quick_stack, refusal, supervisor_pids
from support.supervised import kill_supervisor

from holdfast.children import identify
from holdfast.errors import ExitCode, Refused
from holdfast.infra.home import Home
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.targets.local.target import LocalTarget


@pytest.fixture
def target(tmp_path: Path) -> Iterator[LocalTarget]:
    found = LocalTarget(quick_stack(1), Home(tmp_path / "home"), owner=identify(os.getpid()))
    yield found
    if processes_of(found.home.root) or supervisor_pids(found.home.root):
        found.down()
        nothing_left(found.home.root)


def nothing_runs(target: LocalTarget) -> None:
    nothing_left(target.home.root)
    for name, port in target.provision._ports().items():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, f"{name} still listens"


def without_envoy(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "envoy" else plain(name))


def test_a_taken_port_leaves_no_supervisor_behind(target: LocalTarget) -> None:
    target.provision.prepare(links_argv=None, new_ports=False)
    with socket.create_server(("127.0.0.1", target.provision.port("edge"))):
        refusal(target.up)
        nothing_left(target.home.root)
    nothing_runs(target)


def test_a_missing_envoy_leaves_no_supervisor_behind(target: LocalTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    without_envoy(monkeypatch)
    with pytest.raises(Refused, match="envoy is missing"):
        target.up()
    nothing_runs(target)


@pytest.mark.slow
@pytest.mark.parametrize("supervised", [True, False], ids=["supervised", "its supervisor was killed"])
def test_a_failed_up_of_a_stack_that_runs_takes_nothing_away(
    target: LocalTarget, monkeypatch: pytest.MonkeyPatch, supervised: bool
) -> None:
    target.up()
    before = processes_of(target.home.root)
    assert {"postgres", "redis", "edge"} <= set(before.values())
    if not supervised:
        kill_supervisor(target.home.root)
    without_envoy(monkeypatch)
    with pytest.raises(Refused, match="envoy is missing"):
        target.up()
    assert processes_of(target.home.root) == before


# Runs the command `up`; at a moment of it, it says so and waits there.
HALTING = """
import sys, time
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.targets.local import postgres
from holdfast.infra.targets.local.provision import Provision
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.pipelines.cli import main

def halt(*_, **__):
    print("here", flush=True)
    time.sleep(60)

moment, home = sys.argv[1:]
sys.argv = ["holdfast", "up", f"--home={home}"]
places = {
    "supervisor": (Provision, "start"),
    "stores": (postgres, "wait_for_postgres"),
    "everything": (LocalTarget, "_start_live_colors"),
}
setattr(*places[moment], halt)
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("moment", ["supervisor", "stores", "everything"])
def test_an_interrupted_up_leaves_nothing_behind(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    home = tmp_path / "home"
    argv = [sys.executable, "-P", "-c", HALTING, moment, str(home)]
    with subprocess.Popen(argv, env=child_environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as up:
        try:
            assert up.stdout is not None
            assert up.stdout.read(5) == b"here\n"
            assert supervisor_pids(home)
            assert bool(processes_of(home)) == (moment != "supervisor")
            up.send_signal(number)
            said = up.communicate(timeout=60)
            assert up.returncode == ExitCode.INTERRUPTED, said
            nothing_left(home)
        finally:
            up.kill()
            if processes_of(home) or supervisor_pids(home):
                client = SupervisorClient(home)
                client.ensure()
                client.shutdown()
