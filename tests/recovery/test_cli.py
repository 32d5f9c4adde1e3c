"""backup, restore and drill on the command line: what is printed, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.stack import Sparkle, nothing_left

from holdfast.errors import ExitCode
from holdfast.infra.home import Home
from holdfast.pipelines import stacks
from holdfast.pipelines.cli import run

Out = pytest.CaptureFixture[str]


def options(stack: Sparkle) -> list[str]:
    return ["--home", str(stack.home.root), "--stack", "sparkle"]


def printed(capsys: Out) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_back_up_list_restore_and_drill(stack: Sparkle, tmp_path: Path, capsys: Out) -> None:
    to, new = str(tmp_path / "backups"), str(tmp_path / "new")
    assert run(["backup", *options(stack), "--to", to, "--json"]) == ExitCode.PASS
    assert run(["backup", *options(stack), "--to", to, "--keep", "1"]) == ExitCode.PASS
    captured = capsys.readouterr()
    assert "removed" in captured.out
    assert "checked" in captured.err
    assert run(["backup", "--home", str(stack.home.root), "--to", to, "--list", "--json"]) == ExitCode.PASS
    (line,) = printed(capsys)
    assert line["rows"] > 300
    assert run(["restore", *options(stack), "last", "--from", to, "--to", new, "--json"]) == ExitCode.PASS
    done = printed(capsys)
    assert done["result"]["state"] == "done"
    assert Path(done["report"]).is_file()
    found = stacks.bring_up(None, new)
    assert (found.stack, found.up) == ("sparkle", True)
    stacks.take_down(new)
    nothing_left(Home(Path(new)).root)
    assert run(["drill", "restore", *options(stack), "--after", "0.5s", "--json", "-q"]) == ExitCode.PASS
    report = printed(capsys)
    assert {"rpo_s", "rpo_rows", "rto_s"} <= set(report["figures"])
    assert run(["report", "judge", "--home", str(stack.home.root), "--json"]) == ExitCode.PASS
    assert printed(capsys)["verdicts"] == report["verdicts"]


def test_what_would_replace_live_data_must_say_so(stack: Sparkle, tmp_path: Path, capsys: Out) -> None:
    to = str(tmp_path)
    run(["backup", *options(stack), "--to", to, "-q"])
    assert run(["restore", *options(stack), "last", "--from", to, "--to", "here"]) == ExitCode.REFUSED
    assert "--replace" in capsys.readouterr().err
    assert run(["restore", *options(stack), "last", "--from", to, "--to", f"{to}/n", "--replace"]) == ExitCode.USAGE
    assert run(["restore", *options(stack), "last", "--from", to, "--to", "here", "--replace", "--dry-run"]) == 0
    assert "6. discard" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["restore"], ExitCode.USAGE),
        (["restore", "last"], ExitCode.USAGE),
        (["restore", "last", "--to", "x", "--undo"], ExitCode.USAGE),
        (["restore", "last", "--to", "x"], ExitCode.REFUSED),
        (["restore", "--resume"], ExitCode.REFUSED),
        (["restore", "--undo"], ExitCode.REFUSED),
        (["restore", "--finish"], ExitCode.REFUSED),
        (["backup"], ExitCode.REFUSED),
        (["backup", "--keep", "0"], ExitCode.USAGE),
        (["drill", "restore"], ExitCode.REFUSED),
        (["drill", "restore", "--plant", "none"], ExitCode.USAGE),
    ],
)
def test_what_cannot_be_done_has_its_exit_code_and_leaves_no_folder(
    arguments: list[str], code: ExitCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == code
    assert "way out:" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_list_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["backup", "--list"]) == ExitCode.PASS
    assert "holdfast backup" in capsys.readouterr().out
