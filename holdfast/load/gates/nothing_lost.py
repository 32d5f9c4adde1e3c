"""Gate: every acknowledged request left exactly one effect, and every effect has a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.ledger import Request
from holdfast.load.measures import live_at, succeeded
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
        known = {r.id: r for r in history.requests}
        wrong = {"lost": found.lost, "duplicated": found.duplicated, "unexplained": found.unexplained}
        if any(wrong.values()):
            because = ", ".join(f"{len(ids)} {what}" for what, ids in wrong.items() if ids)
            named = {what: [_named(history, known.get(id_), id_) for id_ in ids[:NAMED]] for what, ids in wrong.items()}
            return self._say(Outcome.FAIL, because, {**counts, "requests": named})
        if not expected:
            return self._say(Outcome.UNKNOWN, "no successful request had to leave an effect", counts)
        return self._say(Outcome.PASS, f"{expected} successful requests left one effect each", counts)

    def _say(self, outcome: Outcome, because: str, evidence: dict[str, Any]) -> Verdict:
        return Verdict(gate=self.name, outcome=outcome, because=because, evidence=evidence)


def _named(history: History, request: Request | None, id_: str) -> dict[str, Any]:
    """A request and what was live between its intended start and its end."""
    if request is None:
        return {"id": id_, "route": "", "live": []}
    start = request.offered.intended
    end = request.settled.at if request.settled else start
    live: Sequence[str] = live_at(history, start, end)
    return {"id": id_, "route": request.offered.route, "at_s": (start - history.info.started) / 1e9, "live": live}
