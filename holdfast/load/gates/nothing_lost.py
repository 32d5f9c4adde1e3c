"""Gate: every acknowledged request left exactly one effect, and every effect has a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from holdfast.measures import SECOND, Live, succeeded
from holdfast.run import History
from holdfast.verdict import Outcome, Verdict

NAMED = 20
"""At most so many requests of a kind are named; the counts are whole."""


@dataclass(frozen=True)
class NothingLost:
    """Fails on a single lost, duplicated or unexplained request. A ledger is not a percentage: nothing is tolerated."""

    name: str = "nothing-lost"

    def judge(self, history: History) -> Verdict:
        """Unknown when the effects could not be read whole, or when no successful request had to leave one."""
        found = history.reconciliation
        expected = sum(1 for r in history.requests if r.offered.effect and succeeded(r))
        counts = {
            "lost": len(found.lost),
            "duplicated": len(found.duplicated),
            "unexplained": len(found.unexplained),
            "expected_effects": expected,
        }
        if not found.complete:
            return self._say(Outcome.UNKNOWN, "the effects could not be read", counts)
        wrong = {"lost": found.lost, "duplicated": found.duplicated, "unexplained": found.unexplained}
        if any(wrong.values()):
            because = ", ".join(f"{len(ids)} {what}" for what, ids in wrong.items() if ids)
            naming = _Naming(history)
            named = {what: [naming.of(id_) for id_ in ids[:NAMED]] for what, ids in wrong.items()}
            return self._say(Outcome.FAIL, because, {**counts, "requests": named})
        if not expected:
            return self._say(Outcome.UNKNOWN, "no successful request had to leave an effect", counts)
        return self._say(Outcome.PASS, f"{expected} successful requests left one effect each", counts)

    def _say(self, outcome: Outcome, because: str, evidence: dict[str, Any]) -> Verdict:
        return Verdict(gate=self.name, outcome=outcome, because=because, evidence=evidence)


class _Naming:
    """Says of a request when it was meant to start (seconds into the run) and what was live from then to its end."""

    def __init__(self, history: History) -> None:
        self._known = {r.id: r for r in history.requests}
        self._live = Live(history)
        self._started = history.info.started

    def of(self, id_: str) -> dict[str, Any]:
        """Name one; of an effect that nobody asked for, there is only the id."""
        request = self._known.get(id_)
        if request is None:
            return {"id": id_, "route": "", "live": []}
        start = request.offered.intended
        end = request.settled.at if request.settled else start
        at_s = (start - self._started) / SECOND
        return {"id": id_, "route": request.offered.route, "at_s": at_s, "live": self._live.between(start, end)}
