"""A run: a directory that joins the evidence of one command: who ran what, from which commit, with which seed."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from holdfast.durable import replace_file, write_failed
from holdfast.errors import UsageError
from holdfast.ledger import Effect, LedgerWriter, Reconciliation, Request, read_ledger, reconcile
from holdfast.timeline import Event, Timeline, now, read_events


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """run.json. `started_wall` is Unix seconds at the monotonic instant `started` (ns): the one joint of the clocks."""

    id: str
    command: str
    argv: list[str]
    seed: int
    stack: str
    commit: str
    dirty: bool
    started: int
    started_wall: float
    holdfast: str


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a gate may look at: what was recorded, nothing else."""

    info: RunInfo
    events: list[Event]
    requests: list[Request]
    effects: list[Effect] | None
    reconciliation: Reconciliation


class Run:
    """An open run directory: `run.json`, `timeline.jsonl`, `ledger.jsonl`, `effects.jsonl`, then the report."""

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        self.info = info
        self.timeline = Timeline(path / "timeline.jsonl")
        self.ledger = LedgerWriter(path / "ledger.jsonl")

    @property
    def id(self) -> str:
        """The run's id; request ids of the run begin with it."""
        return self.info.id

    def record_effects(self, effects: Sequence[Effect]) -> None:
        """Keep the effects that were read, so that the run can be judged again without the stack."""
        encode = msgspec.json.Encoder().encode
        replace_file(self.path / "effects.jsonl", b"".join(encode(effect) + b"\n" for effect in effects))

    def close(self) -> None:
        """Close the files; the directory stays."""
        self.timeline.close()
        self.ledger.close()


def open_run(runs: Path, *, command: str, stack: str = "", seed: int | None = None) -> Run:
    """Create a run directory under `runs`; its name sorts by time."""
    id_ = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    path = runs / id_
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise write_failed(path, error) from error
    commit, dirty = _commit()
    from holdfast import __version__

    info = RunInfo(
        id=id_,
        command=command,
        argv=[os.fsencode(argument).decode(errors="replace") for argument in sys.argv],
        seed=secrets.randbelow(2**31) if seed is None else seed,
        stack=stack,
        commit=commit,
        dirty=dirty,
        started=now(),
        started_wall=time.time(),
        holdfast=__version__,
    )
    replace_file(path / "run.json", msgspec.json.format(msgspec.json.encode(info), indent=2))
    return Run(path, info)


def read_history(path: Path) -> History:
    """Read a run directory back, whole or cut off by a kill.

    Raises FileNotFoundError when `path` holds no run.json, UsageError when it cannot be read.
    """
    try:
        info = msgspec.json.decode((path / "run.json").read_bytes(), type=RunInfo)
    except msgspec.DecodeError as error:
        raise UsageError(
            f"{path} is not a run", because=f"its run.json: {error}", way_out="name another run"
        ) from error
    requests = read_ledger(path / "ledger.jsonl")
    effects = _read_effects(path / "effects.jsonl")
    return History(
        info=info,
        events=read_events(path / "timeline.jsonl"),
        requests=requests,
        effects=effects,
        reconciliation=reconcile(requests, effects),
    )


def _read_effects(path: Path) -> list[Effect] | None:
    """None where they were not read. The file is written whole: one line that cannot be read spoils it all."""
    if not path.exists():
        return None
    try:
        return msgspec.json.Decoder(Effect).decode_lines(path.read_bytes())
    except msgspec.DecodeError:
        return None


def _commit() -> tuple[str, bool]:
    """The working folder's git commit and whether it has changes; ("", False) outside a repository."""
    head = _git("rev-parse", "HEAD")
    return (head, bool(_git("status", "--porcelain"))) if head else ("", False)


def _git(*args: str) -> str:
    try:
        done = subprocess.run(["git", *args], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
