"""A journal that is corrupt, torn, never began, or on a full disk: one clear error, and a way on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.deploy_child import AnySchema, Point, Spec, child_environ, command, refused, run_child
from support.stack import Sparkle
from support.traffic import traffic_on

pytestmark = [pytest.mark.crash, pytest.mark.slow]


def flip(path: Path, line: int) -> None:
    """Flip one byte in the middle of a line (counted from 1)."""
    lines = path.read_bytes().split(b"\n")
    middle = len(lines[line - 1]) // 2
    text = bytearray(lines[line - 1])
    text[middle] ^= 1
    lines[line - 1] = bytes(text)
    path.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize("step", ["prove-idle", "watch-60", "watch"])
def test_a_corrupt_journal_is_refused_by_file_and_line_and_can_be_set_aside(
    stack: Sparkle, origin: str, version: str, step: str
) -> None:
    point = Point(at="before", step=step)
    run_child(Spec(home=str(stack.home.root), verb="deploy", version=version, shares=[60], point=point))
    path = sorted(stack.home.journal.glob("[0-9]*.jsonl"))[-1]
    live = stack.live()
    flip(path, 3)
    with traffic_on(stack) as traffic:
        for verb in ("rollback", "abort", "resume", "promote"):
            error = refused(stack, verb)
            assert f"{path} is corrupt at line 3" in error.what
            assert "holdfast abort --set-aside" in error.way_out
        assert "corrupt" in refused(stack, "deploy", version).what
        stack.desk(schema=AnySchema()).abort(set_aside=True)
        stack.converged()
    traffic.check()
    assert stack.live() == live
    assert path.with_suffix(".corrupt").exists()
    path.with_suffix(".corrupt").unlink()


TORN = b'1234abcd {"mark":"torn by a ki'


def test_a_torn_last_line_is_passed_over_by_readers_and_cut_off_by_the_next_writer(
    stack: Sparkle, origin: str, version: str
) -> None:
    point = Point(at="before", step="prove-idle")
    run_child(Spec(home=str(stack.home.root), verb="deploy", version=version, point=point))
    path = sorted(stack.home.journal.glob("[0-9]*.jsonl"))[-1]
    torn = path.read_bytes() + TORN
    path.write_bytes(torn)
    assert stack.journal.open_operation() is not None
    assert path.read_bytes() == torn, "a reader changed the journal of a writer that may be at work"
    command(stack, "resume")
    assert stack.live_version() == version
    assert path.read_bytes().startswith(torn[: -len(TORN)])
    assert TORN not in path.read_bytes()
    stack.converged()


@pytest.mark.parametrize("content", [b"", b'1234abcd {"mark":"be'])
def test_an_operation_that_was_cut_off_before_its_plan_was_written_never_began(
    stack: Sparkle, version: str, content: bytes
) -> None:
    last = sorted(stack.home.journal.glob("[0-9]*.jsonl"))[-1]
    path = last.with_name(f"{int(last.name[:6]) + 1:06d}-deploy.jsonl")
    path.write_bytes(content)
    for verb in ("rollback", "abort", "resume", "promote"):
        assert "there is nothing to" in refused(stack, verb).what
    command(stack, "deploy", version)
    assert stack.live_version() == version


SMALL_DISK = """
import json, subprocess, sys
from contextlib import suppress
from pathlib import Path
from support.deploy_child import command
from support.stack import Sparkle, quick_stack, verdict
from holdfast.errors import HoldfastError
from holdfast.infra.home import Home
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Mark

home, version, full_at = Home(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
kept = {path.name: path.read_bytes() for path in home.journal.iterdir()}
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "small", str(home.journal)], check=True)
for name, content in kept.items():
    (home.journal / name).write_bytes(content)
stack = quick_stack(1)
sparkle = Sparkle(stack, home, LocalTarget(stack, home))
filler = home.journal / "filler"

def fill(*_):
    # no page is free, and the last page of the open operation's file has no room for another line
    operation = sparkle.journal.open_operation()
    if operation:
        before = operation.path.stat().st_size
        operation.write(Mark.INTENT, "x")
        after = operation.path.stat().st_size
        operation.write(Mark.INTENT, "x" * ((-after - (after - before) - 9) % 4096))
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))
    return verdict()

def said(act):
    try:
        return act().state
    except HoldfastError as error:
        return str(error)

if full_at == "begin":
    fill()
found = {"deploy": said(lambda: command(sparkle, "deploy", version, **({} if full_at == "begin" else {full_at: fill})))}
found["serves"] = sparkle.get().status_code
found["live"] = sparkle.live_version()
filler.unlink()
operation = sparkle.journal.open_operation()
found["open"] = operation is not None
found["abort"] = said(lambda: command(sparkle, "abort")) if operation else "nothing open"
found["live after"] = sparkle.live_version()
sparkle.converged()
(home.root / "lock.json").write_bytes((home.journal / "lock.json").read_bytes())
for run in sparkle.runs:
    run.close()
print(json.dumps(found))
"""


@pytest.mark.parametrize("full_at", ["begin", "gate", "watch"])
def test_a_full_disk_under_the_journal_is_one_clear_error_and_the_stack_serves_on(
    stack: Sparkle, origin: str, version: str, full_at: str
) -> None:
    argv = ["unshare", "-Urm", sys.executable, "-P", "-c", SMALL_DISK, str(stack.home.root), version, full_at]
    done = subprocess.run(argv, env=child_environ(), capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert "No space left on device" in found["deploy"]
    assert "way out:" in found["deploy"]
    assert found["serves"] == 200
    assert found["live"] == (version if full_at == "watch" else origin)
    assert found["open"] == (full_at != "begin")
    assert found["abort"] == ("undone" if found["open"] else "nothing open")
    assert found["live after"] == origin
    # The journal of that namespace is gone with it, but for its token: the one outside never heard of the deploy.
    (stack.home.root / "lock.json").rename(stack.home.journal / "lock.json")
    stack.converged()
