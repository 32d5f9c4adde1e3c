"""The supervisor process: keeps the units of one stack running until it is told to end them.

It holds no secret knowledge: SIGKILL it and its units go on serving; the next one adopts them by pid and start time,
and finds those that its predecessor had no time to write down by the tag in their environment. An *owned* stack
(of a `verify`, of a test) is ended when the owner's process is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from holdfast.children import Identity, end, identify, tagged
from holdfast.durable import replace_file
from holdfast.errors import EnvironmentFailed, HoldfastError, UsageError
from holdfast.infra.supervisor.unit import STACK_TAG, UNIT_TAG, Answer, Call, Kept, State
from holdfast.infra.supervisor.waiting import ended

FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 5.0
STEADY_AFTER = 10.0
OWNER_GONE_GRACE = 2.0
SHUTDOWN = Call(verb="shutdown")


class Supervisor:
    """Units, their processes, and the calls on the socket.

    Calls that change something are carried out one after the other, in the order of their arrival; waiting for a
    process to end never keeps the others from being watched and started again.
    """

    def __init__(self, home: Path, owner: Identity | None) -> None:
        self.home = home
        self.owner = owner
        self.path = home / "state" / "units.json"
        self.state = self._read()
        self.watched: dict[str, int] = {}
        self.children: set[int] = set()
        self.turn = asyncio.Lock()
        self.ending = False
        self.ended = asyncio.Event()
        self.restarts: dict[str, asyncio.TimerHandle] = {}
        self.short_lives: dict[str, int] = {}

    # -- start and adoption ----------------------------------------------------------------------------------------

    async def adopt(self) -> None:
        """Take over what runs already; start again what should run and does not."""
        if self.state.owner and not self.state.owner.alive():
            self.log("the owner is gone: ending its stack")
            await self._end_all(OWNER_GONE_GRACE)
            self.ending = False
        self.state.owner = self.owner or self.state.owner
        for name, identity in self._running().items():
            kept = self.state.units.get(name)
            if kept is None:
                self.log(f"ending {name or 'a process'} (pid {identity.pid}): no unit of that name is wanted")
                await asyncio.to_thread(end, identity, grace=OWNER_GONE_GRACE)
            elif not kept.alive():
                kept.identity = identity
        for kept in self.state.units.values():
            if kept.alive() and not kept.stopping:
                self._watch(kept)
                self.log(f"adopted {kept.unit.name} (pid {kept.identity.pid if kept.identity else 0})")
            elif not kept.stopping:
                self._spawn_or_retry(kept)
        self._save_or_log()

    def _running(self) -> dict[str, Identity]:
        """The processes of this stack by unit; of a unit that forked, the process that began first."""
        found: dict[str, Identity] = {}
        for identity, environment in tagged(STACK_TAG, str(self.home)):
            name = environment.get(UNIT_TAG, "")
            if name not in found or identity.started < found[name].started:
                found[name] = identity
        return found

    def watch_owner(self) -> None:
        """End the stack when the owner's process ends."""
        if self.state.owner is None:
            return
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(self.state.owner.pid)
        except OSError:
            self._owner_gone(None)
            return
        loop.add_reader(fd, self._owner_gone, fd)

    def _owner_gone(self, fd: int | None) -> None:
        """End the stack at once, whatever is being carried out."""
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
        self.log("the owner is gone: ending its stack")
        self.owner_end = asyncio.create_task(self._end_all(OWNER_GONE_GRACE))
        self.owner_end.add_done_callback(lambda _: self.ended.set())

    # -- calls -----------------------------------------------------------------------------------------------------

    async def answer(self, call: Call) -> Answer:
        """Carry out one call: a question at once, anything else when its turn has come."""
        if call.verb == "ping":
            return self._ping()
        async with self.turn:
            return await self._carry_out(call)

    async def _carry_out(self, call: Call) -> Answer:
        if self.ending:
            return Answer(error="the stack is ending")
        if call.token is not None and call.token < self.state.token:
            return Answer(
                refused=True,
                error=f"the fencing token {call.token} is older than {self.state.token}: a newer operation has begun",
            )
        self.state.token = max(self.state.token, call.token or 0)
        verbs = {
            "start": self._call_start,
            "stop": self._call_stop,
            "signal": self._call_signal,
            "expire": self._call_expire,
            "shutdown": self._call_shutdown,
        }
        if call.verb not in verbs:
            return Answer(error=f"unknown verb {call.verb}")
        try:
            await verbs[call.verb](call)
        except HoldfastError as error:
            return Answer(error=f"{error.what}: {error.because}", way_out=error.way_out)
        except OSError as error:
            return Answer(error=str(error))
        return self._ping()

    def _ping(self) -> Answer:
        owner = self.state.owner.pid if self.state.owner else None
        return Answer(pid=os.getpid(), units=self.state.units, owner=owner)

    async def _call_start(self, call: Call) -> None:
        if call.unit is None:
            raise UsageError(
                "start needs a unit", because="the call carries none", way_out="call it with the unit that should run"
            )
        kept = self.state.units.get(call.unit.name)
        if kept and kept.alive() and kept.unit == call.unit:
            kept.expires_at = None
        else:
            if kept:
                await self._stop_together([kept])
            kept = Kept(unit=call.unit)
            self.state.units[call.unit.name] = kept
            self.save()  # the intent: a process that starts now is wanted, also by the next supervisor
            self._spawn(kept)
        self.save()

    async def _call_stop(self, call: Call) -> None:
        wanted = [self.state.units[name] for name in call.names if name in self.state.units]
        for kept in wanted:
            kept.stopping = True
        self._save_or_log()
        await self._stop_together(wanted)
        self.save()

    async def _call_signal(self, call: Call) -> None:
        missed = [name for name in call.names if not self._send(name, call.number)]
        if missed:
            raise EnvironmentFailed(
                "not every unit got the signal",
                because=f"{', '.join(missed)} does not run",
                way_out="see `holdfast status`; a unit that ended by itself is started again within seconds",
            )

    def _send(self, name: str, number: int) -> bool:
        kept = self.state.units.get(name)
        return kept is not None and kept.identity is not None and kept.identity.send(number)

    async def _call_expire(self, call: Call) -> None:
        known = {name for name, kept in self.state.units.items() if not kept.stopping}
        missing = [name for name in call.names if name not in known]
        if missing:
            raise EnvironmentFailed(
                "no such unit",
                because=f"{', '.join(missing)} has ended",
                way_out="see `holdfast status`, then run `holdfast resume`",
            )
        for name in call.names:
            self.state.units[name].expires_at = call.at
        self.save()

    async def _call_shutdown(self, _: Call) -> None:
        await self._end_all(None)
        asyncio.get_running_loop().call_soon(self.ended.set)

    # -- processes -------------------------------------------------------------------------------------------------

    def _spawn(self, kept: Kept) -> None:
        unit = kept.unit
        with Path(unit.log).open("ab") as log:
            process = subprocess.Popen(
                unit.argv,
                env={**unit.env, STACK_TAG: str(self.home), UNIT_TAG: unit.name},
                cwd=unit.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.children.add(process.pid)
        kept.identity = identify(process.pid)
        self.log(f"started {unit.name} (pid {process.pid})")
        self._watch(kept)

    def _watch(self, kept: Kept) -> None:
        if kept.identity is None:
            self._exited(kept.unit.name)
            return
        try:
            fd = os.pidfd_open(kept.identity.pid)
        except OSError:
            self._exited(kept.unit.name)
            return
        self._unwatch(kept.unit.name)
        self.watched[kept.unit.name] = fd
        asyncio.get_running_loop().add_reader(fd, self._exited, kept.unit.name)

    def _unwatch(self, name: str) -> None:
        fd = self.watched.pop(name, None)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)

    def _exited(self, name: str) -> None:
        """A unit's process has ended by itself: start it again, at once after a steady life, later after a short."""
        self._unwatch(name)
        kept = self.state.units.get(name)
        if kept is None or kept.stopping:
            return
        kept.last_exit = self._reap(kept.identity)
        lived = _age(kept.identity)
        self.short_lives[name] = 0 if lived > STEADY_AFTER else self.short_lives.get(name, 0) + 1
        kept.identity = None
        self.log(f"{name} ended (exit {kept.last_exit}) after {lived:.1f} s")
        if kept.unit.restart:
            delay = min(FIRST_BACKOFF * 2 ** max(self.short_lives[name] - 1, 0), LONGEST_BACKOFF)
            self.restarts[name] = asyncio.get_running_loop().call_later(delay, self._restart, kept)
        self._save_or_log()

    def _restart(self, kept: Kept) -> None:
        if self.state.units.get(kept.unit.name) is not kept or kept.stopping:
            return
        kept.restarts += 1
        self._spawn_or_retry(kept)
        self._save_or_log()

    def _spawn_or_retry(self, kept: Kept) -> None:
        try:
            self._spawn(kept)
        except OSError as error:
            self.log(f"could not start {kept.unit.name}: {error}")
            self.restarts[kept.unit.name] = asyncio.get_running_loop().call_later(LONGEST_BACKOFF, self._restart, kept)

    def _reap(self, identity: Identity | None) -> int | None:
        if identity is None or identity.pid not in self.children:
            return None
        self.children.discard(identity.pid)
        with suppress(ChildProcessError):
            return os.waitstatus_to_exitcode(os.waitpid(identity.pid, 0)[1])
        return None

    async def _stop_together(self, wanted: list[Kept], grace: float | None = None) -> None:
        """Ask all of them to end and wait; one that does not end in its grace is killed."""
        for kept in wanted:
            kept.stopping = True
            self._unwatch(kept.unit.name)
            if timer := self.restarts.pop(kept.unit.name, None):
                timer.cancel()
            if kept.identity:
                kept.identity.send(kept.unit.stop_signal)
        await asyncio.gather(*(self._see_end(kept, kept.unit.grace if grace is None else grace) for kept in wanted))

    async def _see_end(self, kept: Kept, grace: float) -> None:
        if kept.identity and not await ended(kept.identity, grace):
            self.log(f"{kept.unit.name} did not end within {grace} s: killed")
            kept.identity.send(signal.SIGKILL)
            await ended(kept.identity, 2)
        self._reap(kept.identity)
        self.state.units.pop(kept.unit.name, None)

    async def _end_all(self, grace: float | None) -> None:
        self.ending = True
        for order in sorted({kept.unit.order for kept in self.state.units.values()}, reverse=True):
            await self._stop_together([k for k in self.state.units.values() if k.unit.order == order], grace)
        for identity, _ in tagged(STACK_TAG, str(self.home)):
            end(identity, grace=OWNER_GONE_GRACE)
        self.state.owner = None
        self._save_or_log()

    async def finish_stops(self) -> None:
        """End what an earlier supervisor was ending when it was killed."""
        async with self.turn:
            await self._stop_together([kept for kept in self.state.units.values() if kept.stopping])
            self._save_or_log()

    async def expire(self) -> None:
        """End the units whose hold is over, looking twice a second."""
        while not self.ended.is_set():
            async with self.turn:
                await self._end_expired()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.ended.wait(), 0.5)

    async def _end_expired(self) -> None:
        due = [k for k in self.state.units.values() if k.expires_at and k.expires_at <= time.time()]
        if due and not self.ending:
            self.log(f"the hold is over: ending {', '.join(k.unit.name for k in due)}")
            await self._stop_together(due)
            self._save_or_log()

    # -- state -----------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the state; raises EnvironmentFailed when the disk does not take it."""
        replace_file(self.path, msgspec.json.encode(self.state))

    def _save_or_log(self) -> None:
        """Keep serving on a full disk: the tags in the environments find the processes all the same."""
        try:
            self.save()
        except HoldfastError as error:
            self.log(str(error))

    def _read(self) -> State:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=State)
        except (FileNotFoundError, msgspec.DecodeError):
            return State(stack=str(self.home))

    def log(self, text: str) -> None:
        """One line to the supervisor's own log, where the disk takes it."""
        with suppress(OSError):
            print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _age(identity: Identity | None) -> float:
    """Seconds since the process started; start times count clock ticks since boot."""
    if identity is None:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - identity.started / os.sysconf("SC_CLK_TCK")


async def serve(home: Path, owner: Identity | None) -> None:
    """Adopt, listen, and go on until told to end."""
    supervisor = Supervisor(home, owner)
    loop = asyncio.get_running_loop()
    asked: set[asyncio.Task[Answer]] = set()
    loop.add_signal_handler(signal.SIGTERM, lambda: asked.add(loop.create_task(supervisor.answer(SHUTDOWN))))
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    await supervisor.adopt()
    supervisor.watch_owner()
    server = await asyncio.start_unix_server(lambda r, w: _talk(supervisor, r, w), sock=_listen(home))
    background = [asyncio.create_task(supervisor.finish_stops()), asyncio.create_task(supervisor.expire())]
    await supervisor.ended.wait()
    await asyncio.sleep(0.05)  # let the answer to `shutdown` reach its caller
    server.close()
    for task in background:
        task.cancel()
    (home / "supervisor.sock").unlink(missing_ok=True)


async def _talk(supervisor: Supervisor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while line := await reader.readline():
            call = msgspec.json.decode(line, type=Call)
            writer.write(msgspec.json.encode(await supervisor.answer(call)) + b"\n")
            await writer.drain()
    writer.close()


def _listen(home: Path) -> socket.socket:
    """Listen on HOME/supervisor.sock, however long that path is: a Unix address holds 107 bytes only."""
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        (home / "supervisor.sock").unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"/proc/self/fd/{folder}/supervisor.sock")
        (home / "supervisor.sock").chmod(0o600)
    finally:
        os.close(folder)
    return listener


def main() -> int:
    """Run the supervisor of one home; a second one for the same home ends at once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--owner", default="", help="PID:START of the process whose end ends the stack")
    arguments = parser.parse_args()
    home: Path = arguments.home
    os.chdir("/")
    lock = os.open(home / "state" / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    pid, _, started = arguments.owner.partition(":")
    owner = Identity(pid=int(pid), started=int(started)) if pid else None
    asyncio.run(serve(home, owner))
    return 0


if __name__ == "__main__":
    sys.exit(main())
