"""The command line: help, errors with their exit codes, one JSON document, completion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.errors import ExitCode
from holdfast.pipelines.cli import COMMANDS, HELP, run


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == ExitCode.PASS
    said = capsys.readouterr().out
    assert HELP[command]
    assert "Example" in said or "Commands:" in said


def test_help_does_not_import_what_only_a_run_needs() -> None:
    code = (
        "import sys\nfrom holdfast.pipelines.cli import run\nrun(['--help'])\n"
        "heavy = {'rich', 'psycopg', 'alembic', 'uvloop', 'numpy', 'jinja2', 'httpx'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["deploy", "v1"], ExitCode.REFUSED, "holdfast up"),
        (["rollback"], ExitCode.REFUSED, "holdfast up"),
        (["up", "--stack", "nowhere"], ExitCode.USAGE, "sparkle"),
        (["release", "build", "no/slash"], ExitCode.USAGE, "is not a version"),
        (["release", "build", "v1", "--plant", "nothing"], ExitCode.USAGE, "errors-20"),
        (["release", "build", "v1", "--from", "missing"], ExitCode.USAGE, "--from"),
        (["verify", "--plant", "nothing"], ExitCode.USAGE, "acks-without-effect"),
        (["deploy", "v1", "--hold", "soon"], ExitCode.USAGE, "90s, 10m or 1h"),
        (["report", "show"], ExitCode.USAGE, "holdfast verify"),
        (["logs", "nothing"], ExitCode.USAGE, "there is no log of nothing"),
        (["nonsense"], ExitCode.USAGE, "No such command"),
        (["deploy"], ExitCode.USAGE, "VERSION"),
    ],
)
def test_a_wrong_request_gets_one_clear_error_and_its_exit_code(
    arguments: list[str], code: ExitCode, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    told = capsys.readouterr()
    assert says in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


def test_an_error_with_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["deploy", "v1", "--json"]) == ExitCode.REFUSED
    told = json.loads(capsys.readouterr().out)["error"]
    assert told["exit_code"] == ExitCode.REFUSED
    assert told["what"]
    assert told["because"]
    assert told["way_out"]


def test_a_defect_of_ours_is_exit_70(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("holdfast.pipelines.stacks.stack_status", lambda *_: 1 / 0)
    assert run(["status"]) == ExitCode.BUG
    assert "this is a bug of holdfast" in capsys.readouterr().err


def test_ctrl_c_is_exit_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("holdfast.pipelines.stacks.stack_status", interrupted)
    assert run(["status"]) == ExitCode.INTERRUPTED


def test_status_of_nothing_starts_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == ExitCode.PASS
    assert "down" in capsys.readouterr().out
    assert run(["down"]) == ExitCode.PASS
    assert run(["history"]) == ExitCode.PASS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == ExitCode.PASS
    assert "_HOLDFAST_COMPLETE" in capsys.readouterr().out
