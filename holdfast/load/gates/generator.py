"""Gate: the load generator did what it was asked to, so that its figures are about the target and not about itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.run import History
from holdfast.timeline import Event, Span, points, spans
from holdfast.verdict import Outcome, Verdict


@dataclass(frozen=True)
class Generator:
    """Unknown, never fail, when the generator was unwell: then nothing that it saw is evidence against the target.

    Well is: the p99 of the lag (actual minus intended start) at most `lag_p99_ms` (5) or a tenth of `latency_limit_ms`,
    whichever is more, so that at most a tenth of what the latency gate judges is the generator's own; at least
    `achieved` (0.99) of the due starts made; nothing queued at the end; its loop never stood still for more than
    `stall_ms` (50) but in `tolerated` of the seconds (2 %, or one: what a shared machine does to any process).
    """

    name: str = "generator"
    lag_p99_ms: float = 5
    latency_limit_ms: float = 0
    stall_ms: float = 50
    tolerated: float = 0.02
    achieved: float = 0.99
    stream: str | None = None

    def judge(self, history: History) -> Verdict:
        """Each stream is judged; the reasons of all that were unwell are given."""
        loads = [s for s in spans(history.events, "load") if self.stream in (None, s.data.get("stream"))]
        evidence: dict[str, Any] = {"streams": {str(load.data.get("stream")): {} for load in loads}}
        if not loads:
            return Verdict(gate=self.name, outcome=Outcome.UNKNOWN, because="no load was generated", evidence=evidence)
        unwell: list[str] = []
        for load in loads:
            stream = str(load.data.get("stream"))
            health, result = _of_stream(history, "load.health", load), _of_stream(history, "load.result", load)
            evidence["streams"][stream] = _figures(health, result)
            unwell += [f"{stream}: {reason}" for reason in self._reasons(load, health, result)]
        outcome = Outcome.UNKNOWN if unwell else Outcome.PASS
        because = "; ".join(unwell) or f"offered as planned: {', '.join(sorted(evidence['streams']))}"
        return Verdict(gate=self.name, outcome=outcome, because=because, evidence=evidence)

    def _reasons(self, load: Span, health: list[Event], result: list[Event]) -> Iterator[str]:
        if load.end is None or not load.ok or not result:
            yield f"the worker did not end in order: {load.data.get('error', 'it was killed or crashed')}"
            return
        figures = result[-1].data
        lag, allowed = figures["lag_p99_ms"], max(self.lag_p99_ms, self.latency_limit_ms / 10)
        if not figures["offered"]:
            yield "it offered nothing"
        if lag > allowed:
            yield f"starts were late, lag p99 {lag:.1f} ms (limit {allowed:g} ms)"
        if figures["achieved_ratio"] < self.achieved:
            yield f"it made {figures['achieved_ratio']:.1%} of the starts that were due"
        if figures["queued"]:
            yield f"{figures['queued']} starts were still queued at the end"
        stalls = sum(1 for each in health if each.data["loop_stall_ms"] > self.stall_ms)
        if stalls > max(1, self.tolerated * len(health)):
            yield f"its loop stood still for more than {self.stall_ms:g} ms in {stalls} of {len(health)} seconds"


def _of_stream(history: History, name: str, load: Span) -> list[Event]:
    return [point for point in points(history.events, name) if point.data.get("stream") == load.data.get("stream")]


def _figures(health: list[Event], result: list[Event]) -> dict[str, Any]:
    wanted = ("offered", "rate", "seconds", "lag_p99_ms", "worst_stall_ms", "achieved_ratio", "queued")
    figures = {key: result[-1].data.get(key) for key in wanted} if result else {}
    return {**figures, "cpu_share_max": max((each.data["cpu_share"] for each in health), default=0.0)}
