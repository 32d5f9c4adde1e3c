"""A whole run as a history: 60 s of traffic, two switches, a fault, and whatever is planted to go wrong.

Times are given in seconds from the start of the run. The same seed gives the same history.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from holdfast.ledger import ACKNOWLEDGED, FAILED, UNKNOWN, Effect, Offered, Request, Settled, reconcile
from holdfast.run import History, RunInfo
from holdfast.timeline import Event, Phase

MS = 1_000_000
SECOND = 1_000_000_000
STARTED = 5_000 * SECOND
STARTED_WALL = 1_760_000_000.0
RUN_ID = "20251009-085320-5eed01"
STREAM = "users"
ROUTES = (("chat", 60, True), ("stream", 10, True), ("whoami", 30, False))

STEPS = (
    ("check-schema", 0.05), ("expand", 0.2), ("start-idle", 1.4), ("ready", 0.6), ("preview", 0.05),
    ("prove-idle", 3.2), ("switch", 0.02), ("propagate", 0.05), ("drain", 0.8), ("watch", 2.5),
    ("reconcile", 0.2), ("hold", 0.05),
)  # fmt: skip
"""Steps of a release and their seconds: 9.12 in all, the switch 5.5 s after the start."""
UNDO_STEPS = (("switch", 0.02), ("propagate", 0.05), ("drain", 0.8), ("hold", 0.1))
"""Steps of a rollback and their seconds."""


class RunOf:
    """Collects the events, requests and effects of a run."""

    def __init__(self, *, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.events: list[Event] = []
        self.requests: list[Request] = []
        self.effects: list[Effect] | None = []

    def span(self, name: str, start: float, end: float | None, *, ok: bool = True, **data: Any) -> None:
        """A span; without `end` nobody knows how it ended. An `error` belongs to its end."""
        key, error = f"s{len(self.events)}", data.pop("error", None)
        self._event(start, name, Phase.START, key, data)
        if end is not None:
            self._event(end, name, Phase.END, key, {"ok": ok} | ({"error": error} if error else {}))

    def point(self, name: str, at: float, **data: Any) -> None:
        """An event without duration."""
        self._event(at, name, Phase.POINT, "", data)

    def operation(self, op: str, start: float, steps: tuple[tuple[str, float], ...] = STEPS) -> float:
        """The steps of an operation, one after the other; returns the end."""
        for step, seconds in steps:
            self.span("step", start, start + seconds, op=op, step=step, version=op.split()[-1])
            start += seconds
        return start

    def switch(self, at: float, op: str, source: dict[str, str], target: dict[str, str], token: int = 1) -> None:
        """A switch written at `at`."""
        written = _ns(at)
        self.point("switch", at + 0.0004, op=op, written=written, token=token, to=target, **{"from": source})

    def request(
        self,
        at: float,
        *,
        route: str = "chat",
        effect: bool = True,
        took_ms: float = 6.0,
        state: str = ACKNOWLEDGED,
        status: int = 200,
        color: str = "blue",
        detail: str = "",
        effects: int | None = None,
        stream: str = STREAM,
        settled: bool = True,
    ) -> str:
        """One request; returns its id. `effects`: how many it leaves (one when it must)."""
        id_ = f"{RUN_ID}-{stream}-{len(self.requests) + 1}"
        intended, key = _ns(at), f"key-{id_}" if effect else None
        offered = Offered(id_, route, key, effect, intended, intended + round(0.2 * MS))
        instance = f"gateway-{color}#{1 + len(self.requests) % 2}" if color else ""
        end = Settled(id_, intended + round(took_ms * MS), state, status, color, instance, detail)
        self.requests.append(Request(offered=offered, settled=end if settled else None))
        if effects is None:
            effects = 1 if effect and state == ACKNOWLEDGED else 0
        for _ in range(effects):
            self.effect(id_, key=key, color=color)
        return id_

    def effect(self, id_: str, *, key: str | None = None, color: str = "", at: str = "") -> None:
        """An effect in the stack's table."""
        assert self.effects is not None
        self.effects.append(Effect(request_id=id_, key=key, color=color, instance=f"engine-{color}#1", at=at))

    def traffic(self, start: float, end: float, color: str, rate: int = 200) -> None:
        """Requests of independent users in [start, end): a mix of routes, log-normal times around 5 ms."""
        at = start + self.random.expovariate(rate)
        while at < end:
            route, _, effect = self.random.choices(ROUTES, weights=[weight for _, weight, _ in ROUTES])[0]
            took = self.random.lognormvariate(1.6, 0.45) * (3 if route == "stream" else 1)
            self.request(at, route=route, effect=effect, took_ms=took, color=color)
            at += self.random.expovariate(rate)

    def load(self, start: float, end: float, *, rate: float = 200, stream: str = STREAM, **result: Any) -> None:
        """The generator's own events: a span, a health point a second, the result. It is healthy but for `result`."""
        self.span("load", start, end, stream=stream, rate=rate, profile="verify", preview=False)
        for second in range(int(start) + 1, int(end) + 1):
            health = {"lag_p99_ms": 0.6, "loop_stall_ms": 1.5, "cpu_share": 0.2 + second % 5 / 50}
            self.point("load.health", second, stream=stream, offered=int(rate), queued=0, in_flight=2, **health)
        well = {"offered": round((end - start) * rate), "seconds": end - start, "rate": rate, "lag_p99_ms": 0.8}
        well |= {"worst_stall_ms": 3.1, "achieved_ratio": 1.0, "queued": 0}
        self.point("load.result", end, **{**well, "stream": stream, "routes": {}, **result})

    def history(self, **info: Any) -> History:
        """What gates and the report are given."""
        self.events.sort(key=lambda event: event.at)
        self.requests.sort(key=lambda request: request.offered.intended)
        given: dict[str, Any] = {
            "id": RUN_ID, "command": "verify", "argv": ["holdfast", "verify"], "seed": 42, "stack": "sparkle",
            "commit": "8d61f0c2b7a94e51d0c3f6a7b8e9d0c1f2a3b4c5", "dirty": False, "started": STARTED,
            "started_wall": STARTED_WALL, "holdfast": "0.1.0",
        }  # fmt: skip
        return History(
            info=RunInfo(**{**given, **info}),
            events=self.events,
            requests=self.requests,
            effects=self.effects,
            reconciliation=reconcile(self.requests, self.effects),
        )

    def _event(self, at: float, name: str, phase: Phase, span: str, data: dict[str, Any]) -> None:
        self.events.append(Event(at=_ns(at), name=name, phase=phase, span=span, data=data))


def _ns(at: float) -> int:
    return STARTED + round(at * SECOND)


def verify_run(*, wrong: bool = False, seed: int = 1) -> RunOf:
    """A run of `verify` of 60 s: v1, then under 200/s: v2 (switch at 17 s), a kill at 30 s, back (40 s), down.

    `wrong` plants two lost, one duplicated and one unexplained request, failed ones and one unknown at the fault.
    """
    run = RunOf(seed=seed)
    both = {"gateway": "blue", "engine": "blue"}, {"gateway": "green", "engine": "green"}
    _phases(run)
    run.operation("release v1", 1.4, STEPS[:7])
    run.switch(6.9, "release v1", {}, both[0])
    run.load(8.0, 56.0)
    run.operation("release v2", 11.5)
    run.switch(17.0, "release v2", both[0], both[1], token=2)
    run.span("fault", 30.0, 31.3, fault="kill", target="engine-green#1")
    run.point("restart", 30.4, unit="engine-green#1", reason="ended by signal 9")
    run.operation("rollback v1", 40.0, UNDO_STEPS)
    run.switch(40.01, "rollback v1", both[1], both[0], token=3)
    run.point("drained", 40.9, op="rollback v1", leftovers=0)
    for start, end, color in ((8.0, 17.0, "blue"), (17.0, 40.01, "green"), (40.01, 56.0, "blue")):
        run.traffic(start, end, color)
    run.request(17.004, route="whoami", effect=False, color="blue")
    _felt(run)
    if wrong:
        _plant(run)
    return run


def _phases(run: RunOf) -> None:
    starts = (
        (0.0, "up"), (1.4, "release v1"), (7.0, "steady"), (11.5, "release v2 under load"), (20.62, "steady on v2"),
        (30.0, "kill an engine instance"),
        (31.3, "steady after the fault"), (40.0, "roll back"), (41.0, "steady on v1"),
        (54.0, "drain"), (56.5, "reconcile"), (57.2, "down"), (60.0, ""),
    )  # fmt: skip
    for (start, phase), (end, _) in pairwise(starts):
        run.span("phase", start, end, phase=phase)


def _felt(run: RunOf) -> None:
    """What users notice of the kill: slow answers for half a second."""
    for k in range(20):
        run.request(30.0 + k * 0.025, took_ms=420 - 18 * k, color="green")


def _plant(run: RunOf) -> None:
    run.request(17.2, color="green", effects=0)
    run.request(30.6, color="green", effects=0, route="stream")
    run.request(30.2, color="green", effects=2)
    run.request(30.3, color="green", state=FAILED, status=503, effects=1, detail="no healthy upstream")
    for k in range(9):
        run.request(30.05 + k * 0.12, color="", state=FAILED, status=503, took_ms=1, detail="no healthy upstream")
    run.request(31.0, color="", state=UNKNOWN, status=0, took_ms=10_000, detail="no answer within 10s", effects=1)
