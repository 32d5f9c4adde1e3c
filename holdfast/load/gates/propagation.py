"""Gate: a switch takes effect at once: no request that starts after it reaches the old color."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from holdfast.measures import nearest_rank, switches
from holdfast.run import History
from holdfast.verdict import Outcome, Verdict


@dataclass(frozen=True)
class Propagation:
    """Fails when the p99 over all switches (of fewer than 100: the longest) is above `limit_ms`.

    From the write of the route to the start of the last request that the old color answered. `limit_ms` 20 is the
    promise of `scripts/bench switch`. Requests that preview the idle color do not count.
    """

    name: str = "propagation"
    limit_ms: float = 20
    stream: str | None = None

    def judge(self, history: History) -> Verdict:
        """Unknown when nothing was switched, or a switch had no traffic on one of its sides."""
        found = switches(history, self.stream)
        seen = [round(each.propagation_ms * 1e6) for each in found if each.propagation_ms is not None]
        p99_ms, worst_ms = nearest_rank(seen, 0.99) / 1e6, max(seen, default=0) / 1e6
        slow = [each for each in found if each.propagation_ms is not None and each.propagation_ms > self.limit_ms]
        evidence = {
            "switches": len(found),
            "unseen": len(found) - len(seen),
            "p99_ms": p99_ms,
            "max_ms": worst_ms,
            "limit_ms": self.limit_ms,
            "slow": [msgspec.to_builtins(each) for each in slow[:20]],
        }
        if not found:
            outcome, because = Outcome.UNKNOWN, "no switch moved the edge"
        elif p99_ms > self.limit_ms:
            outcome, because = (
                Outcome.FAIL,
                f"p99 {p99_ms:.1f} ms, longest {worst_ms:.1f} ms, limit {self.limit_ms:g} ms",
            )
        elif len(seen) < len(found):
            outcome, because = (
                Outcome.UNKNOWN,
                f"{len(found) - len(seen)} of {len(found)} switches had no traffic around",
            )
        else:
            outcome, because = Outcome.PASS, f"{len(found)} switches, p99 {p99_ms:.1f} ms, longest {worst_ms:.1f} ms"
        return Verdict(gate=self.name, outcome=outcome, because=because, evidence=evidence)
