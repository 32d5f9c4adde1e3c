"""The program that serves the links: found before anything is made, and run where it was named."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import httpx
import pytest
from support import relay
from support.stack import nothing_left, quick_stack, refusal, wait_until

from holdfast.children import identify
from holdfast.errors import UsageError
from holdfast.infra.home import Home
from holdfast.infra.targets.local.target import LocalTarget


@pytest.fixture
def target(tmp_path: Path) -> LocalTarget:
    return LocalTarget(quick_stack(1), Home(tmp_path / "home"), owner=identify(os.getpid()))


def reachable(target: LocalTarget) -> bool:
    try:
        return httpx.get(f"{target.edge_url()}/v1/whoami", timeout=5).status_code == 503  # nothing is released
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("program", ["no-such-program", "./no-such-program", "/no/such/program"])
def test_a_missing_program_is_a_mistake_of_usage_and_nothing_was_made(target: LocalTarget, program: str) -> None:
    with pytest.raises(UsageError) as caught:
        target.up(links_argv=[program, "--fast"])
    assert caught.value.what == f"{program}, which is to serve the links, was not found"
    assert caught.value.because
    assert "--direct-links" in caught.value.way_out
    assert not target.home.root.exists()


def test_a_program_that_went_away_is_named_at_the_next_up(target: LocalTarget, tmp_path: Path) -> None:
    program = tmp_path / "relay"
    shutil.copy(shutil.which("true") or "", program)
    target.provision.prepare(links_argv=[str(program)], new_ports=False)
    program.unlink()
    with pytest.raises(UsageError, match="was not found"):
        target.up()
    target.provision.prepare(links_argv=[], new_ports=False)
    assert target.provision.links().argv == []
    nothing_left(target.home.root)


@pytest.mark.slow
def test_a_program_is_run_in_the_folder_in_which_it_was_named(
    target: LocalTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(str(relay.__file__), tmp_path / "relay.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    try:
        target.up(links_argv=["python", "relay.py"])
        monkeypatch.chdir("/")
        wait_until(lambda: reachable(target), "the edge is reached through the link to it")
        before = target.units()["links"].identity
        target.up()
        assert target.units()["links"].identity == before
        assert target.units()["links"].restarts == 0
        assert "stack that runs keeps its ports" in refusal(lambda: target.up(new_ports=True)).what
    finally:
        target.down()
    nothing_left(target.home.root)
