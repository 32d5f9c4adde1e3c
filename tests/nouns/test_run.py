"""A run is a folder: who ran what from which commit, and everything that was recorded, readable after a kill."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdfast.errors import EnvironmentFailed
from holdfast.ledger import ACKNOWLEDGED, Effect, Offered, Settled
from holdfast.run import open_run, read_history
from holdfast.timeline import now


def git(folder: Path, *args: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    return subprocess.run(
        ["git", *identity, *args], cwd=folder, check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()


def test_a_run_tells_who_ran_what_with_which_seed(tmp_path: Path) -> None:
    before, wall = now(), time.time()
    run = open_run(tmp_path / "runs", command="verify", stack="sparkle", seed=7)
    run.close()
    info = read_history(run.path).info
    assert info == run.info
    assert (info.command, info.stack, info.seed, info.argv) == ("verify", "sparkle", 7, sys.argv)
    assert before <= info.started <= now()
    assert wall <= info.started_wall <= time.time()
    assert run.path == tmp_path / "runs" / info.id


def test_without_a_seed_each_run_has_its_own(tmp_path: Path) -> None:
    assert len({open_run(tmp_path, command="c").info.seed for _ in range(5)}) == 5


def test_runs_sort_by_time_and_never_share_a_folder(tmp_path: Path) -> None:
    first = [open_run(tmp_path, command="c").id for _ in range(3)]
    time.sleep(1.1)
    second = open_run(tmp_path, command="c").id
    assert len(set(first)) == 3
    assert max(first) < second


def test_the_commit_is_recorded_with_whether_it_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    monkeypatch.chdir(checkout)
    git(checkout, "init", "-q")
    (checkout / "a").write_text("1")
    git(checkout, "add", "a")
    git(checkout, "commit", "-qm", "a")
    clean = open_run(tmp_path / "runs", command="c").info
    (checkout / "a").write_text("2")
    changed = open_run(tmp_path / "runs", command="c").info
    assert clean.commit == changed.commit == git(checkout, "rev-parse", "HEAD")
    assert (clean.dirty, changed.dirty) == (False, True)


def test_outside_of_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    info = open_run(tmp_path / "runs", command="c").info
    assert (info.commit, info.dirty) == ("", False)


def test_what_was_recorded_is_read_back_and_reconciled(tmp_path: Path) -> None:
    run = open_run(tmp_path, command="verify")
    run.timeline.point("note", text="here")
    for k in range(2):
        run.ledger.offer(Offered(f"{run.id}-users-{k}", "chat", None, True, now(), now()))
        run.ledger.settle(Settled(f"{run.id}-users-{k}", now(), ACKNOWLEDGED, 200))
    run.record_effects([Effect(request_id=f"{run.id}-users-0")])
    run.close()
    history = read_history(run.path)
    assert [event.name for event in history.events] == ["note"]
    assert [request.state for request in history.requests] == [ACKNOWLEDGED] * 2
    assert history.effects == [Effect(request_id=f"{run.id}-users-0")]
    assert history.reconciliation.lost == (f"{run.id}-users-1",)


def test_effects_that_were_never_read_are_not_the_same_as_no_effect(tmp_path: Path) -> None:
    run = open_run(tmp_path, command="verify")
    assert (read_history(run.path).effects, read_history(run.path).reconciliation.complete) == (None, False)
    run.record_effects([])
    assert (read_history(run.path).effects, read_history(run.path).reconciliation.complete) == ([], True)


def test_a_run_that_was_killed_at_once_is_readable(tmp_path: Path) -> None:
    code = "import os, signal, sys; from pathlib import Path; from holdfast.run import open_run\n"
    code += "open_run(Path(sys.argv[1]), command='c'); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-P", "-c", code, str(tmp_path)], check=False, timeout=30)
    (path,) = tmp_path.iterdir()
    history = read_history(path)
    assert (history.info.command, history.events, history.requests) == ("c", [], [])


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_history(tmp_path)


def test_a_place_that_cannot_hold_runs_is_an_error_with_three_parts(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(EnvironmentFailed):
        open_run(tmp_path / "runs", command="c")
