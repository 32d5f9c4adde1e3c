"""Gate: the p99 of the response time, from the intended start, is within its limit while no fault is on."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from holdfast.measures import latencies, outside_faults, traffic
from holdfast.run import History
from holdfast.verdict import Outcome, Verdict


@dataclass(frozen=True)
class Latency:
    """Fails when p99 is above `limit_ms`.

    `limit_ms` 50 is the promise of `holdfast verify`. Requests that a fault touched are left out, and those meant to
    start up to `settle_ms` after its end; how fast service comes back is the recovery gate's matter. `min_samples` 50;
    of fewer than 100 the p99 is the longest, by nearest rank: the strict side. `stream`: only that one; by default all.
    """

    name: str = "latency"
    limit_ms: float = 50
    settle_ms: float = 1000
    min_samples: int = 50
    stream: str | None = None

    def judge(self, history: History) -> Verdict:
        """Unknown with fewer than `min_samples` response times."""
        found = latencies(outside_faults(history, traffic(history, self.stream), self.settle_ms))
        if found is None or found.count < self.min_samples:
            count = found.count if found else 0
            because = f"{count} response times outside of faults; at least {self.min_samples} are needed"
            return Verdict(gate=self.name, outcome=Outcome.UNKNOWN, because=because, evidence={"count": count})
        outcome = Outcome.FAIL if found.p99_ms > self.limit_ms else Outcome.PASS
        because = f"p99 {found.p99_ms:.1f} ms from the intended start, limit {self.limit_ms:g} ms"
        evidence = {**msgspec.to_builtins(found), "limit_ms": self.limit_ms, "settle_ms": self.settle_ms}
        return Verdict(gate=self.name, outcome=outcome, because=because, evidence=evidence)
