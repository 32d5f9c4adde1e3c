"""A supervisor whose disk is full: one clear error, and what runs goes on, is repaired, and ends when asked to."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.deploy_child import child_environ
from support.small_disk import on_small_disk

CODE = """
import json, os, signal, sys, time
from contextlib import suppress
from pathlib import Path
from support.stack import nothing_left, wait_until
from holdfast.children import identify
from holdfast.errors import HoldfastError
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import Unit

home = Path.cwd()
client = SupervisorClient(home, owner=identify(os.getpid()))
client.ensure()

def unit(name):
    argv = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
    return Unit(name=name, argv=argv, env={}, log=str(home / "logs" / f"{name}.log"))

def fill():
    with (home / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(64))

def said(act):
    try:
        act()
        return ""
    except HoldfastError as error:
        return str(error)

found = {}
client.start(unit("one"))
client.start(unit("two"))
fill()
found["start"] = said(lambda: client.start(unit("three")))
found["alive"] = sorted(name for name, kept in client.units().items() if kept.alive())
client.signal(["one"], signal.SIGKILL)
wait_until(lambda: client.units()["one"].restarts == 1 and client.units()["one"].alive(), "it was started again")
found["stop"] = said(lambda: client.stop(["two"]))
found["left"] = sorted(name for name, kept in client.units().items() if kept.alive())
(home / "filler").unlink()
found["start again"] = said(lambda: client.start(unit("three")))
found["at last"] = sorted(name for name, kept in client.units().items() if kept.alive())
client.shutdown()
nothing_left(home)
print(json.dumps(found))
"""


def test_a_full_disk_is_one_clear_error_and_units_are_kept_and_ended_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", child_environ()["PYTHONPATH"])
    found = on_small_disk(tmp_path, CODE, options="size=256k")
    assert "the supervisor could not start" in found["start"]
    assert "No space left on device" in found["start"]
    assert "way out:" in found["start"]
    assert found["alive"] == ["one", "two"]
    assert "No space left on device" in found["stop"]
    assert found["left"] == ["one"], "it ended although that could not be written down"
    assert found["start again"] == ""
    assert found["at last"] == ["one", "three"]
