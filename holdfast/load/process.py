"""The load worker as a process of its own: started, ready, stopped, and never left behind."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import msgspec

from holdfast.durable import replace_file
from holdfast.errors import EnvironmentFailed
from holdfast.load.plan import LoadPlan
from holdfast.load.worker import READY

START_TIMEOUT = 15.0
"""Seconds that a worker may take from its start to its first request; it needs about 0.4 on an idle machine."""

__all__ = ["LoadPlan", "LoadProcess"]


class LoadProcess:
    """A running worker. It writes the run's ledger and timeline itself, and ends when this process ends."""

    def __init__(self, plan: LoadPlan, child: subprocess.Popen[bytes], log: Path) -> None:
        self.plan = plan
        self._child = child
        self._log = log

    @classmethod
    def start(cls, plan: LoadPlan) -> LoadProcess:
        """Start a worker; requests flow when this returns. Raises EnvironmentFailed when it does not come up."""
        folder = Path(plan.run_dir)
        plan_file = folder / f"load-{plan.stream}.plan.json"
        replace_file(plan_file, msgspec.json.encode(plan), mode=0o600)
        log = folder / f"load-{plan.stream}.log"
        with log.open("ab") as errors:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "holdfast.load.worker", str(plan_file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        process = cls(plan, child, log)
        try:
            process._await_ready()
        except BaseException:
            process.kill()
            raise
        return process

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the worker runs."""
        return self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The worker's exit code; None while it runs, negative for a signal."""
        return self._child.poll()

    def wait(self, timeout: float) -> None:
        """Wait until the profile's duration is over and all has ended. Raises EnvironmentFailed after `timeout` s."""
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise EnvironmentFailed(
                f"the load {self.plan.stream} was not over after {timeout:g} s",
                because=f"its profile lasts {self.plan.profile.duration} and {self.plan.drain:g} s of drain",
                way_out="wait for longer than both together",
            ) from error
        self._close_pipes()

    def stop(self, timeout: float = 15) -> None:
        """Start no more requests, wait for those in flight, write the result; after `timeout` seconds kill."""
        self._child.terminate()
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close_pipes()

    def kill(self) -> None:
        """End the worker at once. Its ledger stays; requests without an end in it are unknown."""
        self._child.kill()
        self._child.wait(5)
        self._close_pipes()

    def __enter__(self) -> LoadProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(timeout=15 if kind is None else 2)

    def _await_ready(self) -> None:
        assert self._child.stdout is not None  # noqa: S101 - Popen was given a pipe
        answered, _, _ = select.select([self._child.stdout], [], [], START_TIMEOUT)
        said = os.read(self._child.stdout.fileno(), len(READY)) if answered else b""
        if said != READY:
            raise EnvironmentFailed(
                f"the load worker for {self.plan.stream} did not start",
                because=self._last_words() or f"it said nothing within {START_TIMEOUT:g} s",
                way_out=f"see {self._log}",
            )

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _close_pipes(self) -> None:
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
