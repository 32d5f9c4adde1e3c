"""Names each request that went wrong, and what was live at that moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from holdfast.ledger import FAILED, UNKNOWN, Effect, Request
from holdfast.measures import SECOND, Live
from holdfast.report.model import Named, NamedRequest
from holdfast.run import History, RunInfo

FIRST = 1000
"""So many failed and so many unknown requests are named; a ledger of an outage of hours would be no report."""


def name_requests(history: History) -> Named:
    """Name what the reconciliation found, and the first failed and unknown requests."""
    naming = _Naming(history)
    found = history.reconciliation
    return Named(
        lost=naming.of(found.lost),
        duplicated=naming.of(found.duplicated),
        unexplained=naming.of(found.unexplained),
        failed=naming.of([r.id for r in history.requests if r.state == FAILED][:FIRST]),
        unknown=naming.of([r.id for r in history.requests if r.state == UNKNOWN][:FIRST]),
    )


class _Naming:
    """Looks requests and effects up by id."""

    def __init__(self, history: History) -> None:
        self._info = history.info
        self._live = Live(history)
        self._requests = {request.id: request for request in history.requests}
        self._effects = {effect.request_id: effect for effect in history.effects or ()}
        self._count = Counter(effect.request_id for effect in history.effects or ())

    def of(self, ids: Iterable[str]) -> list[NamedRequest]:
        """Name these, in the order of time; those of an unknown time come last."""
        named = [self._name(id_) for id_ in ids]
        return sorted(named, key=lambda each: (each.at_s is None, each.at_s or 0.0, each.id))

    def _name(self, id_: str) -> NamedRequest:
        request = self._requests.get(id_)
        return self._asked(request) if request else self._not_asked(id_, self._effects[id_])

    def _asked(self, request: Request) -> NamedRequest:
        offered, settled = request.offered, request.settled
        return NamedRequest(
            id=request.id,
            route=offered.route,
            at_s=(offered.intended - self._info.started) / SECOND,
            state=request.state,
            status=settled.status if settled else 0,
            color=settled.color if settled else "",
            instance=settled.instance if settled else "",
            detail=settled.detail if settled else "never settled: the generator ended before",
            effects=self._count[request.id],
            during=self._live.between(offered.intended, settled.at if settled else offered.intended),
        )

    def _not_asked(self, id_: str, effect: Effect) -> NamedRequest:
        at_s = _seconds(effect.at, self._info)
        at = self._info.started + round((at_s or 0) * SECOND)
        return NamedRequest(
            id=id_,
            route="",
            at_s=at_s,
            state="",
            status=0,
            color=effect.color,
            instance=effect.instance,
            detail="no client's record",
            effects=self._count[id_],
            during=[] if at_s is None else self._live.between(at, at),
        )


def _seconds(text: str, info: RunInfo) -> float | None:
    """A database's text of a time as seconds of the run; None when it names no zone or is no ISO 8601."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.timestamp() - info.started_wall if at.tzinfo else None
