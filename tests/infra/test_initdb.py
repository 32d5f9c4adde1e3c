"""Why PostgreSQL's data could not be made is said in one line, and the next try finds nothing half-made."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.deploy_child import child_environ
from support.small_disk import on_small_disk

from holdfast.infra.targets.local.postgres import initdb_cause

FULL = """
initdb: warning: something small
2026-01-01 00:00:00.000 UTC [7] FATAL:  could not write to file "pg_wal/xlogtemp.7": No space left on device
child process exited with exit code 1
initdb: removing contents of data directory "data"
"""

CODE = """
import json
from pathlib import Path
from holdfast.config import Secret
from holdfast.errors import EnvironmentFailed
from holdfast.infra.targets.local.postgres import make_data

found = {}
try:
    make_data(18, Path.cwd() / "data" / "db", Secret("secret"))
except EnvironmentFailed as error:
    found = {"what": error.what, "because": error.because, "way out": error.way_out}
found["left"] = sorted(path.name for path in (Path.cwd() / "data").iterdir())
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (FULL, FULL.splitlines()[2]),
        ("initdb: error: program postgres is needed\nhint: none", "initdb: error: program postgres is needed"),
        ("one\ntwo\n", "two"),
        ("", ""),
    ],
)
def test_the_cause_is_the_first_line_of_an_error(said: str, cause: str) -> None:
    assert initdb_cause(said) == cause


def test_a_full_disk_is_the_cause_and_nothing_half_made_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", child_environ()["PYTHONPATH"])
    found = on_small_disk(tmp_path, CODE, options="size=12m")
    assert found["what"] == "PostgreSQL's data folder could not be made"
    assert "No space left on device" in found["because"], found
    assert "free space" in found["way out"]
    assert found["left"] == []
