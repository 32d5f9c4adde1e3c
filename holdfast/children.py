"""Child processes: named exactly by pid and start time, found by a tag in their environment, ended without doubt."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A process for certain: a pid can be used again, a pid with its start time (clock ticks since boot) cannot."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        state = _stat(self.pid)
        return state is not None and state[1] == self.started and state[0] not in "ZX"

    def send(self, number: int) -> bool:
        """Send a signal to this very process; False when it is gone."""
        try:
            fd = os.pidfd_open(self.pid)
        except (ProcessLookupError, OSError):
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        return True

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended; False when it still runs after `timeout` seconds."""
        try:
            fd = os.pidfd_open(self.pid)
        except (ProcessLookupError, OSError):
            return True
        try:
            if not self.alive():
                return True
            return bool(select.select([fd], [], [], timeout)[0])
        finally:
            os.close(fd)


def identify(pid: int) -> Identity | None:
    """Name the process that has this pid now; None when there is none."""
    state = _stat(pid)
    return Identity(pid=pid, started=state[1]) if state and state[0] not in "ZX" else None


def tagged(variable: str, value: str) -> Iterator[tuple[Identity, dict[str, str]]]:
    """Find the processes whose environment holds `variable=value`, with that environment.

    It finds what a record cannot: a process whose starter was killed between starting it and writing it down.
    """
    wanted = f"{variable}={value}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            raw = (entry / "environ").read_bytes().split(b"\0")
            identity = identify(int(entry.name))
            if wanted in raw and identity:
                yield identity, _environment(raw)


def end(identity: Identity, *, grace: float, number: int = signal.SIGTERM) -> bool:
    """Ask a process to end, and after `grace` seconds make it; True when it ended by itself."""
    if not identity.send(number):
        return True
    if identity.wait(grace):
        return True
    identity.send(signal.SIGKILL)
    identity.wait(5)
    return False


def poll(until: float, every: float = 0.02) -> Iterator[float]:
    """Yield the time left (seconds) until `until` (time.monotonic), sleeping between; the last round yields 0."""
    while (left := until - time.monotonic()) > 0:
        yield left
        time.sleep(min(every, left))
    yield 0.0


def _environment(raw: list[bytes]) -> dict[str, str]:
    pairs = (item.decode(errors="replace").partition("=") for item in raw if b"=" in item)
    return {key: value for key, _, value in pairs}


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time, fields 3 and 22 of /proc/PID/stat (proc(5))."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return fields[0].decode(), int(fields[19])
