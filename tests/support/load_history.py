"""Histories written by hand, so that a gate meets exactly the run that it must fail, pass, or refuse to judge."""

from __future__ import annotations

from typing import Any

from holdfast.ledger import ACKNOWLEDGED, Effect, Offered, Request, Settled, reconcile
from holdfast.run import History, RunInfo
from holdfast.timeline import Event, Phase

MS = 1_000_000
SECOND = 1_000_000_000
RUN_ID = "20250101-000000-abcdef"


class HistoryOf:
    """Collects requests and events; times are given in seconds from the start of the run."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.events: list[Event] = []
        self.effects: list[Effect] | None = []

    def request(
        self,
        at: float,
        *,
        took_ms: float = 5,
        state: str = ACKNOWLEDGED,
        color: str = "blue",
        effect: bool = False,
        stream: str = "main",
        sent_late_ms: float = 0,
    ) -> str:
        """One settled request; returns its id."""
        id_ = f"{RUN_ID}-{stream}-{len(self.requests) + 1}"
        intended = round(at * SECOND)
        settled = Settled(id_, intended + round(took_ms * MS), state, 200, color, f"gateway-{color}#1")
        offered = Offered(id_, "chat", f"k-{id_}", effect, intended, intended + round(sent_late_ms * MS))
        self.requests.append(Request(offered=offered, settled=settled))
        return id_

    def steady(self, start: float, end: float, rate: int = 100, **given: Any) -> None:
        """Evenly spaced requests in [start, end)."""
        for k in range(round((end - start) * rate)):
            self.request(start + k / rate, **given)

    def effect(self, id_: str, key: str | None = None) -> None:
        """An effect in the stack's table."""
        assert self.effects is not None
        self.effects.append(Effect(request_id=id_, key=key or f"k-{id_}"))

    def span(self, name: str, start: float, end: float | None, *, ok: bool = True, **data: Any) -> None:
        """A span; without `end` nobody knows how it ended."""
        key = f"span-{len(self.events)}"
        self._event(name, Phase.START, start, key, data)
        if end is not None:
            self._event(name, Phase.END, end, key, {"ok": ok})

    def point(self, name: str, at: float, **data: Any) -> None:
        """A point."""
        self._event(name, Phase.POINT, at, "", data)

    def switch(
        self, at: float, source: str, target: str, service: str = "gateway", token: int = 1, edge: str = "gateway"
    ) -> None:
        """A switch written at `at`."""
        written = round(at * SECOND)
        sides = {"from": {service: source} if source else {}, "to": {service: target}}
        self.point("switch", at + 0.0005, written=written, token=token, edge=edge, **sides)

    def load(self, *, end: float | None = 10, ok: bool = True, stream: str = "main", **result: Any) -> None:
        """A load from 0 to `end` with a healthy generator, but for what `result` says otherwise."""
        self.span("load", 0, end, ok=ok, stream=stream, rate=100, profile="test", preview=False)
        if end is not None and ok:
            well = {"offered": 1000, "seconds": 10, "rate": 100, "lag_p99_ms": 1.0, "achieved_ratio": 1.0, "queued": 0}
            self.point("load.result", end, **{**well, "stream": stream, "worst_stall_ms": 2.0, "routes": {}, **result})

    def health(self, stalls_ms: list[float], stream: str = "main") -> None:
        """A health point a second."""
        for second, stall in enumerate(stalls_ms, start=1):
            self.point("load.health", second, stream=stream, loop_stall_ms=stall, cpu_share=0.2)

    def history(self) -> History:
        """What a gate is given."""
        info = RunInfo(
            id=RUN_ID, command="test", argv=[], seed=1, stack="", commit="", dirty=False,
            started=0, started_wall=0.0, holdfast="0",
        )  # fmt: skip
        return History(
            info=info,
            events=sorted(self.events, key=lambda event: event.at),
            requests=self.requests,
            effects=self.effects,
            reconciliation=reconcile(self.requests, self.effects),
        )

    def _event(self, name: str, phase: Phase, at: float, span: str, data: dict[str, Any]) -> None:
        self.events.append(Event(at=round(at * SECOND), name=name, phase=phase, span=span, data=data))
