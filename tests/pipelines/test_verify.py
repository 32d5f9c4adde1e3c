"""`holdfast verify` from outside: exit code, one JSON document, the report, and nothing left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

import holdfast.report
from holdfast.children import poll, tagged
from holdfast.errors import ExitCode
from holdfast.infra.supervisor.unit import STACK_TAG

pytestmark = pytest.mark.slow
SCHEMA = Path(holdfast.report.__file__).with_name("schema.json")
HOLDFAST = [sys.executable, "-P", "-m", "holdfast"]


def test_a_release_that_acknowledges_without_effect_fails_and_its_requests_are_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [*HOLDFAST, "verify", "--short", "--json", "--plant", "acks-without-effect"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == ExitCode.FAIL, done.stderr[-2000:]
    report = json.loads(done.stdout)
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert report["outcome"] == "fail"
    assert report["ledger"]["lost"] > 0
    assert report["ledger"]["duplicated"] == report["ledger"]["unexplained"] == 0
    named = [one["id"] for one in report["named"]["lost"]]
    assert len(named) == report["ledger"]["lost"]
    verdicts = {verdict["gate"]: verdict["outcome"] for verdict in report["verdicts"]}
    assert verdicts["nothing-lost"] == "fail"
    assert verdicts["release-v2-under-load"] == "fail"
    run = next((tmp_path / ".holdfast" / "runs").iterdir())
    assert {"report.json", "report.html", "report.md", "junit.xml"} <= {path.name for path in run.iterdir()}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert all(id_ in page for id_ in named)
    _nothing_runs(tmp_path)


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "release v1: ok"),
        (signal.SIGINT, "deploy v1 · start-idle: ok"),
        (signal.SIGKILL, "release v1: ok"),
    ],
)
def test_a_verify_that_is_stopped_leaves_no_process(number: signal.Signals, moment: str, tmp_path: Path) -> None:
    with (tmp_path / "err").open("wb") as errors:
        process = subprocess.Popen(
            [*HOLDFAST, "verify", "--short"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            _until(moment, tmp_path / "err", process)
            process.send_signal(number)
            code = process.wait(60)
        finally:
            process.kill()
            process.wait(5)
    assert code == (ExitCode.INTERRUPTED if number == signal.SIGINT else -signal.SIGKILL)
    _nothing_runs(tmp_path)


def _until(moment: str, progress: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the progress has come to a line."""
    for _ in poll(time.monotonic() + 90):
        if moment in progress.read_text(encoding="utf-8"):
            return
        assert process.poll() is None, progress.read_text()
    pytest.fail(f"it never came to {moment}: {progress.read_text()}")


def _nothing_runs(folder: Path) -> None:
    """Within 5 s no process of the stack is left."""
    homes = [str(path.resolve()) for path in (folder / ".holdfast" / "runs").glob("*/stack")]
    assert homes
    for _ in poll(time.monotonic() + 5):
        left = [identity for home in homes for identity, _ in tagged(STACK_TAG, home)]
        if not left:
            return
    pytest.fail(f"still running: {left}")
