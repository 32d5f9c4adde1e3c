"""The journal: protocols are tuples of steps, walked so that a kill at any point leaves a written way on and back.

Before a step acts, its intent is on disk; after it, that it is done. One file an operation; each line carries a
checksum. The lock is held by the operating system for as long as the process lives, so a killed holder never blocks
the next one, and each holder gets a higher *fencing token* than any before it.
"""

from __future__ import annotations

import fcntl
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from holdfast.durable import LineFile, replace_file, sync_directory
from holdfast.errors import Refused

C = TypeVar("C")


@dataclass(frozen=True)
class Step(Generic[C]):
    """One step of a protocol. `act` and `undo` are idempotent: each may run again after a kill."""

    name: str
    act: Callable[[C], None]
    undo: Callable[[C], None]


def nothing(_: Any) -> None:
    """The undo of a step that changes nothing."""


class Mark(Enum):
    """What a journal line says."""

    BEGIN = "begin"
    INTENT = "intent"
    DONE = "done"
    PAUSED = "paused"
    UNDOING = "undoing"
    UNDONE = "undone"
    FINISHED = "finished"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `mark` of `step` at `at` (Unix seconds), written under the fencing token `token`."""

    mark: Mark
    at: float
    token: int
    step: str = ""
    data: dict[str, Any] = {}


class Operation:
    """One journalled operation: its plan, what was done, and its end. Lines are on disk when a method returns."""

    def __init__(self, path: Path, lines: list[Line], token: int, *, torn: int = 0) -> None:
        self.path = path
        self.lines = lines
        self._token = token
        self._torn = torn
        self._file: LineFile | None = None

    @property
    def name(self) -> str:
        """What the operation is, like `000003-deploy`."""
        return self.path.stem

    @property
    def kind(self) -> str:
        """deploy, rollback, …"""
        return self.path.stem.partition("-")[2]

    @property
    def plan(self) -> dict[str, Any]:
        """What was decided when the operation began; it never changes."""
        return self.lines[0].data

    @property
    def began(self) -> float:
        """Unix seconds."""
        return self.lines[0].at

    @property
    def outcome(self) -> str | None:
        """The word of the end (`done`, `undone`…), or None while it is open."""
        last = self.lines[-1]
        return str(last.data.get("outcome")) if last.mark is Mark.FINISHED else None

    @property
    def end(self) -> Line | None:
        """The last line of a finished operation."""
        return self.lines[-1] if self.lines[-1].mark is Mark.FINISHED else None

    @property
    def paused_at(self) -> str | None:
        """The step after which the operation waits for a person or a deadline; None while it does not."""
        last = self.lines[-1]
        return last.step if last.mark is Mark.PAUSED else None

    @property
    def turned_back(self) -> bool:
        """Whether undoing has begun: from then on the only way is back."""
        return any(line.mark is Mark.UNDOING for line in self.lines)

    @property
    def because(self) -> str:
        """Why it turned back, or ended."""
        reasons = [str(line.data["because"]) for line in self.lines if "because" in line.data]
        return reasons[-1] if reasons else ""

    def started(self, step: str) -> bool:
        """Whether the step's intent was written: it may have acted."""
        return any(line.step == step and line.mark is Mark.INTENT for line in self.lines)

    def done(self, step: str) -> bool:
        """Whether the step's act is known to be complete."""
        return any(line.step == step and line.mark is Mark.DONE for line in self.lines)

    def undone(self, step: str) -> bool:
        """Whether the step's undo is known to be complete."""
        return any(line.step == step and line.mark is Mark.UNDONE for line in self.lines)

    def fence(self, token: int) -> None:
        """Write under this token from now on: another holder of the lock goes on with the operation."""
        self._token = token

    def write(self, mark: Mark, step: str = "", **data: Any) -> None:
        """Append a line and wait for the disk."""
        line = Line(mark=mark, at=time.time(), token=self._token, step=step, data=data)
        if self._file is None:
            self._file = self._open()
        self._file.append(_encode(line))
        self.lines.append(line)

    def _open(self) -> LineFile:
        """Cut off a line that a kill tore; nobody acted upon it. Readers do not: only who holds the lock may."""
        if self._torn:
            os.truncate(self.path, self.path.stat().st_size - self._torn)
            self._torn = 0
        return LineFile(self.path, sync=True)

    def finish(self, outcome: str, **data: Any) -> None:
        """Close the operation."""
        self.write(Mark.FINISHED, outcome=outcome, **data)
        if self._file:
            self._file.close()
            self._file = None


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lock: the text that a refused command prints."""

    holder: str
    pid: int
    since: float
    token: int


class Journal:
    """The operations of one stack, oldest first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = 0

    def operations(self) -> list[Operation]:
        """Read all operations and change nothing. Raises Refused when a file is corrupt.

        A file without a whole line is an operation that was cut off before its plan was on disk: it never began.
        """
        found = [self._read(path) for path in sorted(self.folder.glob("[0-9]*.jsonl"))]
        return [operation for operation in found if operation.lines]

    def open_operation(self) -> Operation | None:
        """The operation that has not finished, if there is one."""
        unfinished = [operation for operation in self.operations() if operation.outcome is None]
        return unfinished[-1] if unfinished else None

    def begin(self, kind: str, plan: dict[str, Any]) -> Operation:
        """Start an operation; its plan is on disk when this returns. The lock must be held."""
        numbers = [int(path.name[:6]) for path in self.folder.glob("[0-9]*.jsonl")]
        path = self.folder / f"{max(numbers, default=0) + 1:06d}-{kind}.jsonl"
        operation = Operation(path, [], self.token)
        operation.write(Mark.BEGIN, **plan)
        sync_directory(self.folder)
        return operation

    def set_corrupt_aside(self) -> list[Path]:
        """Rename the files that cannot be read, so that work can go on; returns their new names."""
        aside = []
        for path in sorted(self.folder.glob("[0-9]*.jsonl")):
            try:
                self._read(path)
            except Refused:
                aside.append(path.rename(path.with_suffix(".corrupt")))
        return aside

    @contextmanager
    def lock(self, holder: str, *, newer_than: int = 0) -> Iterator[int]:
        """Hold the stack's lock; yields the fencing token, higher than any before it and than `newer_than`.

        Raises Refused, naming the holder, when it is taken.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _held(self._lock_file()) from None
            before = self._lock_file()
            self.token = max(before.token if before else self._first_token(), newer_than) + 1
            mine = Lock(holder=holder, pid=os.getpid(), since=time.time(), token=self.token)
            replace_file(self.folder / "lock.json", msgspec.json.encode(mine))
            yield self.token
        finally:
            os.close(fd)

    def _first_token(self) -> int:
        """0 for a new journal. Where the lock's file was lost, the time: it is above any count of operations."""
        return int(time.time()) if any(self.folder.glob("[0-9]*")) else 0

    def _lock_file(self) -> Lock | None:
        path = self.folder / "lock.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Lock)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _read(self, path: Path) -> Operation:
        *whole, torn = path.read_bytes().split(b"\n")  # after the last newline: nothing, or a line torn by a kill
        lines = [_decode(text, path, number) for number, text in enumerate(whole, 1)]
        return Operation(path, lines, self.token, torn=len(torn))


def walk(
    steps: Sequence[Step[C]],
    context: C,
    operation: Operation,
    *,
    until: str | None = None,
    around: Callable[[Step[C], Callable[[C], None]], None] | None = None,
) -> bool:
    """Walk the steps that are not done yet; tells whether all are. `until` pauses after the step of that name.

    `around` runs an act (to put it on a timeline). An error from an act is the caller's to handle: `back` undoes.
    """
    for step in steps:
        if not operation.done(step.name):
            operation.write(Mark.INTENT, step.name)
            if around:
                around(step, step.act)
            else:
                step.act(context)
            operation.write(Mark.DONE, step.name)
        if step.name == until:
            operation.write(Mark.PAUSED, step.name)
            return False
    return True


def back(
    steps: Sequence[Step[C]],
    context: C,
    operation: Operation,
    *,
    because: str,
    around: Callable[[Step[C], Callable[[C], None]], None] | None = None,
) -> None:
    """Undo what was started, last first. Undoing goes on past an error of one undo, which is raised at the end."""
    errors: list[Exception] = []
    for step in reversed(steps):
        if not operation.started(step.name) or operation.undone(step.name):
            continue
        operation.write(Mark.UNDOING, step.name, because=because)
        try:
            if around:
                around(step, step.undo)
            else:
                step.undo(context)
        except Exception as error:  # noqa: BLE001 - an undo that fails must not stop the others
            errors.append(error)
            continue
        operation.write(Mark.UNDONE, step.name)
    if errors:
        raise errors[0]


def _encode(line: Line) -> bytes:
    body = msgspec.json.encode(line)
    return b"%08x %s" % (zlib.crc32(body), body)


def _decode(text: bytes, path: Path, number: int) -> Line:
    checksum, _, body = text.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(body):
            raise ValueError("its checksum does not match")
        return msgspec.json.decode(body, type=Line)
    except (ValueError, msgspec.DecodeError) as error:
        raise Refused(
            f"the journal {path} is corrupt at line {number}",
            because=f"{error}; what the operation had done cannot be trusted",
            way_out="`holdfast abort --set-aside` keeps the color that is live now, stops the other one and puts this "
            "file aside as *.corrupt",
        ) from error


def _held(by: Lock | None) -> Refused:
    who = f"`{by.holder}` (process {by.pid}), since {_clock(by.since)}" if by else "another holdfast command"
    return Refused(
        "another operation is going on",
        because=f"the lock is held by {who}",
        way_out=f"wait for it, or end process {by.pid if by else 'of that command'} and run `holdfast resume` or "
        "`holdfast abort`",
    )


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
