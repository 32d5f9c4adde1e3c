"""Files that survive a kill: replace by rename with fsync, and append whole lines."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from holdfast.errors import EnvironmentFailed

T = TypeVar("T")


def replace_file(path: Path, data: bytes, *, mode: int = 0o644) -> int:
    """Write `data` to `path` so that a reader sees the old content or the new, never a part.

    Survives a power loss: the file and its directory are synced. A full disk leaves the old content in place.
    Returns the monotonic instant (ns) just before the rename: nobody saw the new content before it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            _write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        replaced = time.monotonic_ns()
        temporary.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise write_failed(path, error) from error
    return replaced


def sync_directory(path: Path) -> None:
    """Make renames and creations in `path` durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_failed(path: Path, error: OSError) -> EnvironmentFailed:
    """Return the error to raise when `path` could not be written."""
    return EnvironmentFailed(
        f"could not write {path}",
        because=error.strerror or str(error),
        way_out="free space or fix the permissions of that folder, then run `holdfast resume`",
    )


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class LineFile:
    """An append-only file of lines. Each line is in the kernel when `append` returns, so it survives SIGKILL.

    Several processes may append to one file: lines go out by a single write with O_APPEND. With `sync` the file has
    one writer, and each line is on disk when `append` returns.
    """

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        self.path = path
        self._sync = sync
        self._torn = False
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise write_failed(path, error) from error

    def append(self, line: bytes) -> None:
        """Append one line (without its newline)."""
        data = (b"\n" if self._torn else b"") + line + b"\n"
        try:
            written = os.write(self._fd, data)
            self._torn = written != len(data)
            if self._torn:
                self._mend(written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._sync:
                os.fsync(self._fd)
        except OSError as error:
            raise write_failed(self.path, error) from error

    def _mend(self, written: int) -> None:
        """Take a part of a line back, or end it where others write too, so that it spoils no line of theirs.

        Where there is no room for the end either, the next line begins with it.
        """
        with suppress(OSError):
            if self._sync:
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            else:
                os.write(self._fd, b"\n")
            self._torn = False

    def close(self) -> None:
        """Close the file; further appends are errors."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of `path`; a last line without its newline was torn by a kill and is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line[:-1]


def decoded(path: Path, decoder: msgspec.json.Decoder[T]) -> Iterator[T]:
    """Yield the records of a file of JSON lines; no file is no record.

    A line that a full disk has torn is left out. What it said is missing then, and that shows: a request without its
    end is unknown, an effect without its request is unexplained.
    """
    if not path.exists():
        return
    for line in whole_lines(path):
        with suppress(msgspec.DecodeError):
            yield decoder.decode(line)
