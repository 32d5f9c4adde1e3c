"""The life of a process: serving, draining, told to end. Signals move it; requests are counted by it.

SIGUSR1 → draining   answers everything, but is not ready, closes keep-alive connections, moves open streams
SIGUSR2 → serving    as if nothing had been
SIGTERM → ending     draining, then exit as soon as nothing is in flight
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.common.config import Drain
from services.common.env import Identity
from services.common.log import lifecycle_event

POLL_S = 0.02


class Lifecycle:
    """Draining state and the number of requests in flight. `moves` grows each time that streams are told to move."""

    def __init__(self, identity: Identity, drain: Drain) -> None:
        self.draining = False
        self.in_flight = 0
        self.moves = 0
        self._identity = identity
        self._drain = drain
        self._ending = asyncio.Event()
        self._on_move: set[Callable[[], None]] = set()

    def listen_for_signals(self) -> None:
        """Take over the signals of the running loop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.start_draining)
        loop.add_signal_handler(signal.SIGUSR2, self.stop_draining)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count one request while it is in flight."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    @contextmanager
    def on_move(self, move: Callable[[], None], moves_seen: int) -> Iterator[None]:
        """Call `move` when streams are told to move; at once when they were since `moves_seen`."""
        if self.moves != moves_seen:
            move()
        self._on_move.add(move)
        try:
            yield
        finally:
            self._on_move.discard(move)

    def start_draining(self) -> None:
        """Readiness off. Streams that are open now move; requests that still come are answered."""
        self.draining = True
        self.moves += 1
        self._say("draining")
        for move in tuple(self._on_move):
            move()

    def stop_draining(self) -> None:
        """Readiness on again, unless the process was told to end."""
        if not self._ending.is_set():
            self.draining = False
            self._say("serving")

    def end(self) -> None:
        """Drain, then let `until_ended` return."""
        if not self._ending.is_set():
            self._ending.set()
            self.start_draining()

    async def until_ended(self) -> int:
        """Wait for the signal to end, then for the requests in flight. Returns how many were cut at the deadline."""
        await self._ending.wait()
        try:
            async with asyncio.timeout(self._drain.deadline_s):
                await self._until_quiet()
        except TimeoutError:
            pass
        self._say("ending", cut=self.in_flight)
        return self.in_flight

    async def _until_quiet(self) -> None:
        quiet_s = 0.0
        while quiet_s < self._drain.linger_s:
            await asyncio.sleep(POLL_S)
            quiet_s = 0.0 if self.in_flight else quiet_s + POLL_S

    def _say(self, event: str, **details: object) -> None:
        lifecycle_event(self._identity, event, in_flight=self.in_flight, **details)
