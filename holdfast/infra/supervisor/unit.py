"""A unit: a process that should run. The requests and answers of the supervisor's socket."""

from __future__ import annotations

import hashlib
import signal

import msgspec

from holdfast.children import Identity

STACK_TAG = "HOLDFAST_STACK"
UNIT_TAG = "HOLDFAST_UNIT"


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """What should run. `order`: stores first (0), services last; the end goes the other way round."""

    name: str
    argv: list[str]
    env: dict[str, str]
    log: str
    cwd: str = "/"
    order: int = 0
    stop_signal: int = signal.SIGTERM
    grace: float = 3.0
    restart: bool = True


def changes_with(content: bytes) -> dict[str, str]:
    """For the environment of a unit whose program reads a file only when it starts: a new content is a new unit."""
    return {"HOLDFAST_READS": hashlib.sha256(content).hexdigest()}


class Kept(msgspec.Struct, kw_only=True):
    """A unit as the supervisor keeps it. `expires_at` (Unix seconds): it is ended then, as at the end of a hold."""

    unit: Unit
    identity: Identity | None = None
    restarts: int = 0
    last_exit: int | None = None
    expires_at: float | None = None
    stopping: bool = False

    def alive(self) -> bool:
        """Whether its process runs now."""
        return self.identity is not None and self.identity.alive()


class State(msgspec.Struct, kw_only=True):
    """The supervisor's file: what it must know to adopt the processes after its own death."""

    stack: str
    owner: Identity | None = None
    token: int = 0
    units: dict[str, Kept] = {}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request. `token`: the fencing token of a mutating call; one that is older than any seen is refused."""

    verb: str
    token: int | None = None
    unit: Unit | None = None
    names: list[str] = []
    number: int = 0
    at: float | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. `error` is empty when the call was carried out; `way_out` goes with an error that has its own."""

    error: str = ""
    way_out: str = ""
    refused: bool = False
    units: dict[str, Kept] = {}
    pid: int = 0
    owner: int | None = None
