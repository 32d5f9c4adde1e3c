"""What must not close the way back: mistakes, refusals, a dead database, a stack that was down in between."""

from __future__ import annotations

import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.released import Released

from holdfast.children import poll
from holdfast.errors import ExitCode
from holdfast.infra.home import home_at
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.pipelines.cli import run
from holdfast.pipelines.stacks import stack_status

pytestmark = pytest.mark.slow


@pytest.fixture
def held(released: Released) -> Released:
    """The stack with v2 live and v1 held; at the end v1 is live again, and nothing is open."""
    here = released.options
    assert run(["release", "build", "v2", *here]) == ExitCode.PASS
    assert run(["deploy", "v2", "--quiet", *here]) == ExitCode.PASS
    return released


def _runs(released: Released) -> set[str]:
    return {path.name for path in Path(released.home, "runs").iterdir()}


def _answers(released: Released, path: str) -> bool:
    url = stack_status(released.stack, released.home).edge_url + path
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own edge
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def test_a_mistake_leaves_the_hold_open_and_no_run_behind(held: Released, capsys: pytest.CaptureFixture[str]) -> None:
    here, before = held.options, _runs(held)
    assert run(["deploy", "v1", "--service", "nope", "--quiet", *here]) == ExitCode.USAGE
    assert run(["deploy", "nothing", "--quiet", *here]) == ExitCode.REFUSED
    assert run(["abort", "--set-aside", "--quiet", *here]) == ExitCode.REFUSED
    assert "nothing to set aside" in capsys.readouterr().err
    assert _runs(held) == before, "a refusal has nothing to report"
    assert run(["rollback", "--quiet", *here]) == ExitCode.PASS
    assert held.live() == {"gateway": "v1", "engine": "v1"}


def test_the_way_back_needs_no_database(held: Released) -> None:
    here, supervisor = held.options, SupervisorClient(home_at(held.home).root)
    data = Path(held.home, "data", "postgres", "global", "pg_control")
    aside = data.rename(data.with_name("pg_control.aside"))
    try:
        supervisor.signal(["postgres"], signal.SIGKILL)
        began = time.monotonic()
        assert run(["rollback", "--quiet", *here]) == ExitCode.PASS
        assert time.monotonic() - began < 5
    finally:
        aside.rename(data)
    assert held.live() == {"gateway": "v1", "engine": "v1"}
    for _ in poll(time.monotonic() + 30, every=0.2):
        if run(["status", *here]) == ExitCode.PASS and stack_status(held.stack, held.home).up:
            return
    pytest.fail("PostgreSQL did not come back")


def test_a_release_whose_color_was_down_in_between_never_gets_traffic(released: Released) -> None:
    here = released.options
    assert run(["release", "build", "v4", *here]) == ExitCode.PASS
    before = released.live()
    assert run(["deploy", "v4", "--until", "prove-idle", "--quiet", *here]) == ExitCode.PASS
    assert run(["down", "--home", released.home]) == ExitCode.PASS
    assert run(["up", *here]) == ExitCode.PASS
    assert run(["resume", "--quiet", *here]) == ExitCode.FAIL
    assert released.live() == before
    assert _answers(released, "/v1/whoami")
    assert stack_status(released.stack, released.home).operation is None


def test_a_home_remembers_its_stack(released: Released, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["status", "--home", released.home]) == ExitCode.PASS
    assert "up at" in capsys.readouterr().out
