"""Talk to a stack's supervisor; start one where none answers."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import msgspec

from holdfast.children import Identity, poll
from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.supervisor.unit import Answer, Call, Kept, Unit

START_TIMEOUT = 10.0
CALL_TIMEOUT = 60.0


class SupervisorClient:
    """Calls of one stack's supervisor. A call whose supervisor died is made again to the next: verbs repeat safely."""

    def __init__(self, home: Path, *, owner: Identity | None = None) -> None:
        self.home = home
        self.owner = owner
        self.token: int | None = None

    def running(self) -> bool:
        """Whether a supervisor answers."""
        try:
            self._call_once(Call(verb="ping"))
        except (OSError, EOFError):
            return False
        return True

    def ensure(self) -> None:
        """Start a supervisor when none answers. It adopts whatever an earlier one left running."""
        if self.running():
            return
        for folder in ("state", "logs"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        pid = self._spawn()
        for _ in poll(time.monotonic() + START_TIMEOUT):
            if self.running():
                return
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended and status:
                break
            if ended:  # another one held the home's lock, and may have been ending
                pid = self._spawn()
        raise EnvironmentFailed(
            "the stack's supervisor did not start",
            because=f"see the end of {self.home / 'logs' / 'supervisor.log'}",
            way_out="correct what it says, then run the command again",
        )

    def _spawn(self) -> int:
        """Start the process in a session of its own; no object of this process waits for it, it outlives us."""
        owner = f"{self.owner.pid}:{self.owner.started}" if self.owner else ""
        module = "holdfast.infra.supervisor.daemon"
        argv = [sys.executable, "-P", "-m", module, f"--home={self.home}", f"--owner={owner}"]
        with (self.home / "logs" / "supervisor.log").open("ab") as log, Path(os.devnull).open("rb") as nothing:
            files = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 0)]
            files += [(os.POSIX_SPAWN_DUP2, log.fileno(), number) for number in (1, 2)]
            return os.posix_spawn(sys.executable, argv, os.environ, file_actions=files, setsid=True)

    def units(self) -> dict[str, Kept]:
        """All units by name."""
        return self.call(Call(verb="ping")).units

    def start(self, unit: Unit) -> None:
        """Have a unit run; one that runs as described already is left alone."""
        self.call(Call(verb="start", unit=unit, token=self.token))

    def stop(self, names: list[str]) -> None:
        """End units and forget them; names that are not known are passed over."""
        if names:
            self.call(Call(verb="stop", names=names, token=self.token))

    def signal(self, names: list[str], number: int) -> None:
        """Send a signal to units. Raises EnvironmentFailed when one does not run."""
        if names:
            self.call(Call(verb="signal", names=names, number=number, token=self.token))

    def expire(self, names: list[str], at: float | None) -> None:
        """End units at a time (Unix seconds), or no more (None). Raises EnvironmentFailed when one does not run."""
        if names:
            self.call(Call(verb="expire", names=names, at=at, token=self.token))

    def shutdown(self) -> None:
        """End all units and the supervisor itself; returns when nothing is left."""
        pid = self.call(Call(verb="ping")).pid
        try:
            self._call_once(Call(verb="shutdown"))
        except (OSError, EOFError):
            self.ensure()
            self.shutdown()
            return
        for _ in poll(time.monotonic() + 10):
            if not Path(f"/proc/{pid}").exists() or not self.running():
                return

    def call(self, call: Call) -> Answer:
        """Make a call. Raises Refused for a stale fencing token, EnvironmentFailed for an error."""
        try:
            answer = self._call_once(call)
        except (OSError, EOFError):
            self.ensure()
            answer = self._call_once(call)
        if answer.refused:
            raise Refused("this operation has been overtaken", because=answer.error, way_out="run `holdfast status`")
        if answer.error:
            raise EnvironmentFailed(
                f"the supervisor could not {call.verb}",
                because=answer.error,
                way_out=answer.way_out or f"see {self.home / 'logs'}, then run `holdfast resume`",
            )
        return answer

    def _call_once(self, call: Call) -> Answer:
        folder = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(CALL_TIMEOUT)
                connection.connect(f"/proc/self/fd/{folder}/supervisor.sock")
                connection.sendall(msgspec.json.encode(call) + b"\n")
                with connection.makefile("rb") as file:
                    line = file.readline()
        finally:
            os.close(folder)
        if not line.endswith(b"\n"):
            raise EOFError("the supervisor closed the connection")
        return msgspec.json.decode(line, type=Answer)
