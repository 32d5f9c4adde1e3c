"""Gate: few enough requests failed or stayed without an answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from holdfast.measures import outside_faults, succeeded, traffic
from holdfast.run import History
from holdfast.verdict import Outcome, Verdict


@dataclass(frozen=True)
class ErrorRatio:
    """Fails when (failed + unknown) / offered is above `limit`.

    `limit` 0.001: an availability of 99.9 %, a common first objective (The Site Reliability Workbook, ch. 2).
    `min_samples` 50: without an error, that many bound the true ratio to 6 % at 95 % confidence (rule of three).
    `stream`: only that one; by default all of the history.
    """

    name: str = "error-ratio"
    limit: float = 0.001
    min_samples: int = 50
    only_outside_faults: bool = False
    settle_ms: float = 1000
    stream: str | None = None

    def judge(self, history: History) -> Verdict:
        """Unknown with fewer than `min_samples` requests."""
        requests = traffic(history, self.stream)
        if self.only_outside_faults:
            requests = outside_faults(history, requests, self.settle_ms)
        bad = [r for r in requests if not succeeded(r)]
        evidence: dict[str, Any] = {"offered": len(requests), "errors": len(bad), "limit": self.limit}
        if len(requests) < self.min_samples:
            because = f"{len(requests)} requests; at least {self.min_samples} are needed"
            return Verdict(gate=self.name, outcome=Outcome.UNKNOWN, because=because, evidence=evidence)
        ratio = len(bad) / len(requests)
        evidence |= {"ratio": ratio, "requests": [r.id for r in bad[:20]], "reasons": _reasons(bad)}
        outcome = Outcome.FAIL if ratio > self.limit else Outcome.PASS
        because = f"{len(bad)} of {len(requests)} requests failed or stayed open ({ratio:.3%}, limit {self.limit:.3%})"
        return Verdict(gate=self.name, outcome=outcome, because=because, evidence=evidence)


def _reasons(bad: list[Any]) -> dict[str, int]:
    """The five most frequent ways in which requests went wrong."""
    said = Counter(
        f"{r.state}: {r.settled.detail or r.settled.status}" if r.settled else "unknown: never settled" for r in bad
    )
    return dict(said.most_common(5))
