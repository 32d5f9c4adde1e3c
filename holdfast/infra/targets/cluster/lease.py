"""The release lock of a stack on a cluster: one Lease object (coordination.k8s.io/v1), and a fencing token that grows.

Every write of it is guarded by the resourceVersion that was read before, so of two who want it one gets it. Clocks of
two machines are never compared: whether another machine's holder lives is seen from whether its record changes while we
watch (as leader election in Kubernetes does it). On this machine process and clock are the same for all, so a holder
that was killed is followed at once.
"""

from __future__ import annotations

import copy
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from holdfast.children import Identity, identify
from holdfast.errors import EnvironmentFailed, HoldfastError, Refused
from holdfast.infra.targets.cluster.api import Api, Conflict, NotFound, Object

NAME = "holdfast"
DURATION_S = 15
"""A holder that was not seen to renew for so long has lost it; it renews every third of that."""
LOOK_S = 0.5
"""Between two looks at another machine's record."""
ROUNDS = 5
"""How often a write of the holder is tried anew that met somebody else's change of the object."""

TOKEN = "holdfast/token"  # noqa: S105 - the name of an annotation
OPERATION = "holdfast/operation"
HOLDER, HOST, MACHINE = "holdfast/holder", "holdfast/host", "holdfast/machine"
PID, STARTED, RENEWED = "holdfast/pid", "holdfast/started", "holdfast/renewed"
OF_THE_HOLDER = (HOLDER, HOST, MACHINE, PID, STARTED, RENEWED)


class LeaseLost(EnvironmentFailed):
    """The lock is not ours any more, or nobody can tell: nothing may be changed under its token."""


class Lease:
    """The lock of the stack in the namespace of `api`. One holding at a time."""

    def __init__(self, api: Api, *, name: str = NAME, duration_s: int = DURATION_S) -> None:
        self._api = api
        self._name = name
        self._duration_s = duration_s
        self._holding: _Holding | None = None

    @contextmanager
    def held(self, holder: str, operation: str = "", newer_than: int = 0) -> Iterator[int]:
        """Hold the lock; yields the fencing token, higher than any before it and than `newer_than`.

        `holder` says who, `operation` (when given) is noted as with `note`. Raises Refused, naming the holder, when
        somebody else has it; that takes up to a third of their lease's duration to see, and taking over from a
        machine that is gone the whole of it. At the end the lock is free and the token stays.
        """
        holding = self._acquire(holder, operation, newer_than)
        self._holding = holding
        holding.start()
        try:
            yield holding.token
        finally:
            self._holding = None
            holding.stop()

    @property
    def token(self) -> int:
        """The fencing token under which it is held; 0 when it is not."""
        return self._holding.token if self._holding else 0

    @property
    def lost(self) -> bool:
        """Whether somebody has taken it over, or it could not be renewed for its whole duration."""
        return self._holding is not None and self._holding.lost

    def check(self) -> None:
        """Raise LeaseLost unless it is ours. One that is overdue is renewed first: perhaps nobody took it meanwhile."""
        self._held().check()

    def note(self, text: str) -> None:
        """Say on the object which operation is open, and where; "" when none is. It stays when the lock is released."""
        self._held().note(text)

    def noted(self) -> str:
        """What was noted last, by whomever; "" when no operation is open. The lock need not be held."""
        record = self._api.find("Lease", self._name)
        return _annotations(record).get(OPERATION, "") if record else ""

    def _held(self) -> _Holding:
        if self._holding is None:
            raise LeaseLost("the lock is not held", because="its block has ended", way_out="take it again")
        return self._holding

    def _acquire(self, holder: str, operation: str, newer_than: int) -> _Holding:
        """Take a lock that is free, was never there, or has expired; by one guarded write."""
        watch, identity = _Watch(), f"{platform.node()}_{os.getpid()}_{secrets.token_hex(4)}"
        while True:
            found = self._api.find("Lease", self._name)
            if not watch.over(found):
                time.sleep(LOOK_S)
                continue
            begun = _clock()
            wanted = _taken(found or _new(self._name), identity, holder, self._duration_s, newer_than)
            if operation:
                _annotations(wanted)[OPERATION] = operation
            record = self._write_first(wanted, new=found is None)
            if record is not None:
                return _Holding(self._api, record, begun)

    def _write_first(self, wanted: Object, *, new: bool) -> Object | None:
        """Write the record that makes it ours; None when somebody was faster. An answer that was lost is found."""
        try:
            return self._api.create(wanted) if new else self._api.replace(wanted)
        except Conflict:
            found = self._api.find("Lease", self._name)
            return found if found and _identity(found) == _identity(wanted) else None


class _Watch:
    """Tells whether a record's holder lives, by our own clock."""

    def __init__(self) -> None:
        self._seen: tuple[str, ...] | None = None
        self._since = self._last = 0.0

    def over(self, record: Object | None) -> bool:
        """Whether it may be taken now; False: look again. Raises Refused when its holder is seen to live."""
        before, self._seen = self._seen, _state(record)
        if record is None or not _identity(record):
            return True
        if _annotations(record).get(MACHINE) == _machine():
            return _over_here(record)
        if before not in (None, self._seen):
            raise _refusal(record)
        return self._unchanged_for(_duration(record), anew=before is None)

    def _unchanged_for(self, duration_s: float, *, anew: bool) -> bool:
        """Whether it has not changed for so long. While we could not look, its holder could perhaps not renew."""
        at = _clock()
        if anew or at - self._last > duration_s / 3:
            self._since = at
        self._last = at
        return at - self._since >= duration_s


class _Holding:
    """The lock while it is ours: a thread renews it; what the thread finds out is told by `lost` and `check`."""

    def __init__(self, api: Api, record: Object, begun: float) -> None:
        self.token = _token(record)
        self._api = api
        self._quick = copy.copy(api)
        self._quick.patience = _duration(record) / 3
        self._record = record
        self._identity = _identity(record)
        self._duration_s = _duration(record)
        self._valid_until = begun + self._duration_s
        self._taken_by = ""
        self._one_write = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew_for_ever, name="lease", daemon=True)

    @property
    def lost(self) -> bool:
        """Counted from before each renewal was sent: we know it no later than anybody who watches us."""
        return bool(self._taken_by) or _clock() >= self._valid_until

    def start(self) -> None:
        """Renew from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Renew no more, and give it back; one that cannot be given back now expires."""
        self._end.set()
        self._thread.join()
        if not self._taken_by:
            with suppress(HoldfastError):
                self._write(_released, self._quick)

    def check(self) -> None:
        """Raise LeaseLost unless it is ours."""
        if self.lost and not self._taken_by:
            with suppress(HoldfastError):
                self._write(_renewed, self._quick)
        if self.lost:
            raise self._loss()

    def note(self, text: str) -> None:
        """Set or take away the annotation."""

        def noted(record: Object) -> Object:
            record = _renewed(record)
            _annotations(record)[OPERATION] = text
            return record

        self._write(noted, self._api)

    def _renew_for_ever(self) -> None:
        while not self._end.wait(self._duration_s / 3) and not self._taken_by:
            with suppress(HoldfastError):  # whether it is still ours is a matter of time; others hear of it by `lost`
                self._write(_renewed, self._quick)

    def _write(self, change: Callable[[Object], Object], api: Api) -> None:
        """One guarded write. Raises LeaseLost when the lock is another's, Away when the API server is."""
        with self._one_write:
            for _ in range(ROUNDS):
                begun = _clock()
                try:
                    self._record = api.replace(change(self._record))
                except (Conflict, NotFound):
                    self._look_again(api)
                else:
                    self._valid_until = begun + self._duration_s
                    return
        raise Conflict(f"the Lease {self._name} changes all the time", because=f"{ROUNDS} writes met a change")

    def _look_again(self, api: Api) -> None:
        """Somebody has changed the object; or we have, and the answer was lost."""
        found = api.find("Lease", self._name)
        if found is None or _identity(found) != self._identity:
            self._taken_by = _described(found) if found and _identity(found) else "nobody: it was deleted or released"
            raise self._loss()
        self._record = found

    @property
    def _name(self) -> str:
        return str(self._record["metadata"]["name"])

    def _loss(self) -> LeaseLost:
        away = f"it could not be renewed for {self._duration_s:g} s"
        return LeaseLost(
            "the lock was lost",
            because=f"it is now held by {self._taken_by}" if self._taken_by else away,
            way_out="see `holdfast status` before anything else; `holdfast resume` goes on when nobody else has",
        )


# -- the record: pure --------------------------------------------------------------------------------------------------


def _new(name: str) -> Object:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}}


def _taken(record: Object, identity: str, holder: str, duration_s: int, newer_than: int) -> Object:
    """The record with a new holder; what is noted on it stays."""
    made, at = copy.deepcopy(record), _now()
    transitions = int(record.get("spec", {}).get("leaseTransitions") or 0)
    me = identify(os.getpid())
    _annotations(made).update(
        {
            TOKEN: str(max(_token(record), transitions, newer_than) + 1),
            HOLDER: holder,
            HOST: platform.node(),
            MACHINE: _machine(),
            PID: str(os.getpid()),
            STARTED: str(me.started if me else 0),
            RENEWED: _milliseconds(),
        }
    )
    made["spec"] = {
        "holderIdentity": identity,
        "leaseDurationSeconds": duration_s,
        "acquireTime": at,
        "renewTime": at,
        "leaseTransitions": transitions + 1,
    }
    return made


def _renewed(record: Object) -> Object:
    made = copy.deepcopy(record)
    made["spec"]["renewTime"] = _now()
    _annotations(made)[RENEWED] = _milliseconds()
    return made


def _released(record: Object) -> Object:
    """Without a holder; token and note stay."""
    made = _renewed(record)
    made["spec"].pop("holderIdentity")
    for name in OF_THE_HOLDER:
        _annotations(made).pop(name, None)
    return made


def _annotations(record: Object) -> dict[str, str]:
    """The annotations, to be read or changed."""
    metadata = record["metadata"]
    if not metadata.get("annotations"):
        metadata["annotations"] = {}
    found: dict[str, str] = metadata["annotations"]
    return found


def _identity(record: Object) -> str:
    return str(record.get("spec", {}).get("holderIdentity") or "")


def _duration(record: Object) -> float:
    return float(record.get("spec", {}).get("leaseDurationSeconds") or DURATION_S)


def _token(record: Object) -> int:
    """The last holder's token; 0 where somebody has spoilt the annotation (then `leaseTransitions` still counts)."""
    return _number(record, TOKEN)


def _number(record: Object, annotation: str) -> int:
    text = _annotations(record).get(annotation, "")
    return int(text) if text.isdecimal() else 0


def _state(record: Object | None) -> tuple[str, ...]:
    """What changes when a holder renews, and when the holder changes."""
    if record is None:
        return ()
    return (_identity(record), str(record.get("spec", {}).get("renewTime", "")), str(_token(record)))


def _over_here(record: Object) -> bool:
    """Of a holder on this machine: its process is gone, or has not renewed by our common clock. Raises Refused."""
    process = Identity(pid=_number(record, PID), started=_number(record, STARTED))
    if not process.alive() or _clock() - _number(record, RENEWED) / 1000 >= _duration(record):
        return True
    raise _refusal(record)


def _described(record: Object) -> str:
    said, spec = _annotations(record), record.get("spec", {})
    who = f"`{said[HOLDER]}` (process {said.get(PID)} on {said.get(HOST)})" if HOLDER in said else _identity(record)
    return f"{who}, since {spec.get('acquireTime', 'an unknown time')}"


def _refusal(record: Object) -> Refused:
    said = _annotations(record)
    opened = f"; open is {said[OPERATION]}" if said.get(OPERATION) else ""
    process = f"process {said[PID]} on {said.get(HOST)}" if PID in said else _identity(record)
    return Refused(
        "another operation is going on",
        because=f"the lock of the stack is held by {_described(record)}{opened}",
        way_out=f"wait for it, or end {process}; {_duration(record):g} s after its end the lock is free",
    )


# -- this machine ------------------------------------------------------------------------------------------------------


def _machine() -> str:
    """This start of this machine, and which processes can be seen: another container has other pids."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid').strip('pid:[]')}"  # noqa: PTH115 - the link leads to no path


def _clock() -> float:
    """Seconds since the machine's start, the time in which it slept included; one clock for all its processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _milliseconds() -> str:
    return str(round(_clock() * 1000))


def _now() -> str:
    """For people to read, and different with each renewal; never compared."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
