"""The ledger of requests: what was offered, how each one ended, and what the world says of it afterwards.

The words. *acknowledged*: final success at the client (2xx, SSE `done` read). *accepted*: 202, must become exactly one
effect. *failed*: certainly not executed. *unknown*: no answer after sending, or an answer that does not tell.
offered = acknowledged + accepted + failed + unknown. *lost*: acknowledged or accepted without an effect. *duplicated*:
more than one effect for one key. *unexplained*: an effect without a client's record, an effect of a failed request, or
an unknown that could not be resolved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from holdfast.durable import LineFile, decoded

ACKNOWLEDGED = "acknowledged"
ACCEPTED = "accepted"
FAILED = "failed"
UNKNOWN = "unknown"


class Offered(msgspec.Struct, array_like=True, tag="o", frozen=True):
    """Written before the request is sent. Times are monotonic ns; `effect` tells whether success must leave one."""

    id: str
    route: str
    key: str | None
    effect: bool
    intended: int
    sent: int


class Settled(msgspec.Struct, array_like=True, tag="s", frozen=True):
    """Written when the request has ended for the client. `status` 0: no answer."""

    id: str
    at: int
    state: str
    status: int = 0
    color: str = ""
    instance: str = ""
    detail: str = ""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One effect in the stack's effect table. `at` is the database's text of the time."""

    request_id: str
    key: str | None = None
    color: str = ""
    instance: str = ""
    at: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the ledger knows it: offered, and settled unless the generator died first."""

    offered: Offered
    settled: Settled | None

    @property
    def id(self) -> str:
        """The request id."""
        return self.offered.id

    @property
    def state(self) -> str:
        """acknowledged, accepted, failed or unknown."""
        return self.settled.state if self.settled else UNKNOWN

    @property
    def latency(self) -> int | None:
        """Nanoseconds from the *intended* start to the end; None without an end."""
        return self.settled.at - self.offered.intended if self.settled else None


class LedgerWriter:
    """Appends to a ledger file; a record is in the kernel when the call returns."""

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self._encode = msgspec.json.Encoder().encode

    def offer(self, record: Offered) -> None:
        """Write that a request is about to be sent."""
        self._file.append(self._encode(record))

    def settle(self, record: Settled) -> None:
        """Write how a request ended."""
        self._file.append(self._encode(record))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger in eight numbers."""

    offered: int = 0
    acknowledged: int = 0
    accepted: int = 0
    failed: int = 0
    unknown: int = 0
    lost: int = 0
    duplicated: int = 0
    unexplained: int = 0


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """Ids by what is wrong with them. `resolved`: unknowns that the effects explained, id to executed or not.

    `complete` is False when the effects could not be read: then nothing is known to be lost, and every unknown that
    may have had an effect is unexplained.
    """

    lost: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()
    resolved: dict[str, bool] = {}
    complete: bool = True


def read_ledger(path: Path) -> list[Request]:
    """Read a ledger file in the order of offering; a torn line is left out; no file is no request."""
    decoder: msgspec.json.Decoder[Offered | Settled] = msgspec.json.Decoder(Offered | Settled)
    offered: dict[str, Offered] = {}
    settled: dict[str, Settled] = {}
    for record in decoded(path, decoder):
        if isinstance(record, Offered):
            offered[record.id] = record
        else:
            settled[record.id] = record
    return [Request(offered=record, settled=settled.get(record.id)) for record in offered.values()]


def reconcile(requests: Sequence[Request], effects: Iterable[Effect] | None) -> Reconciliation:
    """Compare what clients were told with what was done. `effects` None: they could not be read."""
    if effects is None:
        open_ones = tuple(r.id for r in requests if r.state == UNKNOWN and r.offered.effect)
        return Reconciliation(unexplained=open_ones, complete=False)
    by_request: dict[str, int] = defaultdict(int)
    by_key: dict[str, set[str]] = defaultdict(set)
    for effect in effects:
        by_request[effect.request_id] += 1
        if effect.key:
            by_key[effect.key].add(effect.request_id)
    known = {request.id: request for request in requests}
    shared_keys = {id_ for ids in by_key.values() if len(ids) > 1 for id_ in ids}
    return Reconciliation(
        lost=tuple(r.id for r in requests if _must_have_effect(r) and not _has_effect(r, by_request, by_key)),
        duplicated=tuple(sorted({id_ for id_, n in by_request.items() if n > 1} | shared_keys)),
        unexplained=tuple(sorted(_unexplained(known, by_request))),
        resolved={
            r.id: _has_effect(r, by_request, by_key) for r in requests if r.state == UNKNOWN and r.offered.effect
        },
    )


def count(requests: Sequence[Request], found: Reconciliation) -> Counts:
    """Count the ledger's words."""
    states: dict[str, int] = defaultdict(int)
    for request in requests:
        states[request.state] += 1
    return Counts(
        offered=len(requests),
        acknowledged=states[ACKNOWLEDGED],
        accepted=states[ACCEPTED],
        failed=states[FAILED],
        unknown=states[UNKNOWN],
        lost=len(found.lost),
        duplicated=len(found.duplicated),
        unexplained=len(found.unexplained),
    )


def _must_have_effect(request: Request) -> bool:
    return request.offered.effect and request.state in (ACKNOWLEDGED, ACCEPTED)


def _has_effect(request: Request, by_request: dict[str, int], by_key: dict[str, set[str]]) -> bool:
    """A replayed answer's effect stands under the key, from the first request that carried it."""
    return by_request.get(request.id, 0) > 0 or bool(request.offered.key and by_key.get(request.offered.key))


def _unexplained(known: dict[str, Request], by_request: dict[str, int]) -> set[str]:
    nobody_asked = {id_ for id_ in by_request if id_ not in known}
    refused_but_done = {id_ for id_, r in known.items() if r.state == FAILED and by_request.get(id_)}
    return nobody_asked | refused_but_done
