"""Gate: after each fault, users are served again within the limit."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from holdfast.measures import FaultRecovery, recoveries
from holdfast.run import History
from holdfast.verdict import Outcome, Verdict


@dataclass(frozen=True)
class Recovery:
    """Fails when a fault was felt for longer than `limit_ms` from its start.

    Felt: requests failed, stayed open, or took longer than `slow_ms` (1 s: from there on a user's train of thought is
    interrupted, Nielsen, Usability Engineering, 1993, ch. 5). Recovered: every request of one second succeeds.
    `limit_ms` 5,000: the time in which a balancer takes out an instance that has gone, and its callers' retries end.
    Requests that preview the idle color do not count.
    """

    name: str = "recovery"
    limit_ms: float = 5000
    slow_ms: float = 1000
    stream: str | None = None

    def judge(self, history: History) -> Verdict:
        """Unknown when there was no fault, or too little traffic to see a clean second after one."""
        found = recoveries(history, self.slow_ms, self.stream)
        evidence = {"limit_ms": self.limit_ms, "faults": [msgspec.to_builtins(each) for each in found]}
        if not found:
            return Verdict(gate=self.name, outcome=Outcome.UNKNOWN, because="there was no fault", evidence=evidence)
        late = [each for each in found if self._is_late(each)]
        unseen = [each for each in found if each.recovery_ms is None]
        if late:
            outcome, because = Outcome.FAIL, "; ".join(_said(each) for each in late)
        elif unseen:
            names = ", ".join(each.fault for each in unseen)
            outcome, because = Outcome.UNKNOWN, f"too little traffic to see a clean second after {names}"
        else:
            worst = max(each.recovery_ms or 0.0 for each in found)
            outcome, because = Outcome.PASS, f"faults: {len(found)}, felt for {worst:.0f} ms at most"
        return Verdict(gate=self.name, outcome=outcome, because=because, evidence=evidence)

    def _is_late(self, each: FaultRecovery) -> bool:
        """Too late, or still not back when that much time had been watched."""
        if each.recovery_ms is not None:
            return each.recovery_ms > self.limit_ms
        return each.bad > 0 and each.seen_ms > self.limit_ms


def _said(each: FaultRecovery) -> str:
    if each.recovery_ms is None:
        return f"{each.fault}: not recovered after {each.seen_ms:.0f} ms"
    return f"{each.fault}: felt for {each.recovery_ms:.0f} ms"
