"""The open-model engine: starts each request when it is meant to start, whatever became of those before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.ledger import LedgerWriter
from holdfast.load.arrivals import SECOND
from holdfast.load.health import TICK, Health
from holdfast.load.plan import LoadPlan
from holdfast.load.pool import Pool
from holdfast.load.protocols import EXCHANGES
from holdfast.load.recorder import Recorder
from holdfast.load.request import starts
from holdfast.timeline import Timeline, now

WARM_CONNECTIONS = 8
LEAD = 20_000_000
"""Nanoseconds between warm-up and the clock's zero."""
MILLISECOND = 1_000_000
BURST = 64
"""Starts made in one go when the engine is behind; then answers are read, so that catching up does not starve them."""


class Engine:
    """One stream of load. `run` returns when the last request has ended, the drain is over, or `stop` has drained."""

    def __init__(self, plan: LoadPlan, ledger: LedgerWriter, timeline: Timeline) -> None:
        self._plan = plan
        self._timeline = timeline
        self._pool = Pool(plan.url, plan.profile.connections.max)
        self._recorder = Recorder(ledger, list(plan.profile.mix))
        self._timeout = round(plan.profile.timeout_seconds * SECOND)
        self._drain = plan.drain
        self._error: BaseException | None = None
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    async def run(self, ready: Callable[[], None]) -> dict[str, Any]:
        """Offer the load, then wait for what is in flight. Calls `ready` when only the first start is awaited.

        Returns the data of `load.result`. Raises EnvironmentFailed when the run's files cannot be written.
        """
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._note_error)
        self._starts_over = asyncio.Event()
        await self._pool.warm_up(WARM_CONNECTIONS)
        self._begin_clock()
        ready()
        await self._starts_over.wait()
        result = self._result()
        await self._drained()
        self._give_up_the_rest(result)
        await self._pool.close()
        if self._error is not None:
            raise self._error
        return {**result, **self._figures()}

    def stop(self, drain: float | None = None) -> None:
        """Start no more; what is in flight gets `drain` seconds (the plan's by default)."""
        self._drain = self._drain if drain is None else drain
        if self._timer is not None:
            self._timer.cancel()
        self._starts_over.set()

    def _begin_clock(self) -> None:
        self._t0 = now() + LEAD
        self._starts = starts(self._plan, self._t0)
        self._next = next(self._starts, None)
        self._health = Health(last_tick=now(), last_sample=now())
        self._ticker = self._loop.call_later(TICK, self._tick)
        self._dispatch()

    def _dispatch(self) -> None:
        """Make every start that is due, then sleep to the next. The loop's timers have a resolution of 1 ms."""
        at = now()
        for _ in range(BURST):
            if self._next is None or self._next.intended > at:
                break
            start, self._next = self._next, next(self._starts, None)
            EXCHANGES[type(start.template.route)](start, self._pool, self._recorder).begin()
        if self._next is None:
            self._starts_over.set()
        elif (left := self._next.intended - now()) > 0:
            self._timer = self._loop.call_later(-(-left // MILLISECOND) / 1000, self._dispatch)
        else:
            self._timer = self._loop.call_soon(self._dispatch)

    def _tick(self) -> None:
        at = now()
        self._health.tick(at)
        self._expire(at)
        if at - self._health.last_sample >= SECOND:
            self._sample(at)
        self._ticker = self._loop.call_later(TICK, self._tick)

    def _expire(self, at: int) -> None:
        """End what has waited too long; requests in flight are in the order in which they began."""
        late = []
        for request in self._recorder.in_flight:
            if request.begun_at + self._timeout > at:
                break
            late.append(request)
        for request in late:
            request.expire(f"no answer within {self._plan.profile.timeout}")

    def _sample(self, at: int) -> None:
        lags = self._recorder.take_lags()
        self._timeline.point(
            "load.health",
            stream=self._plan.stream,
            offered=len(lags),
            queued=self._pool.queued,
            in_flight=len(self._recorder.in_flight),
            achieved_ratio=self._achieved(at),
            **self._health.sample(at, lags),
        )

    def _achieved(self, at: int) -> float:
        """Starts made over starts due, from the first on; what the schedule is behind counts with its rate."""
        behind = 0.0
        if self._next is not None and self._next.intended < at:
            behind = (at - self._next.intended) / SECOND * self._plan.profile.arrivals.rate
        made = self._recorder.begun_count
        due = made + self._pool.queued + behind
        return made / due if due else 1.0

    def _result(self) -> dict[str, Any]:
        """What is known when the last start was made."""
        at = now()
        return {
            "stream": self._plan.stream,
            "seconds": max(at - self._t0, 1) / SECOND,
            "achieved_ratio": self._achieved(at),
        }

    def _figures(self) -> dict[str, Any]:
        return {
            "offered": self._recorder.offered,
            "lag_p99_ms": self._recorder.lag_p99_ms,
            "worst_stall_ms": max(self._health.worst_stall, self._health.stall) / 1e6,
            "routes": {name: figures.summary() for name, figures in self._recorder.routes.items()},
        }

    async def _drained(self) -> None:
        """Wait for the requests in flight and in the queue; the drain is bounded, and `stop` may shorten it."""
        since = self._loop.time()
        while self._recorder.in_flight or self._pool.queued:
            if self._error is not None or self._loop.time() - since >= self._drain:
                return
            await asyncio.sleep(TICK)

    def _give_up_the_rest(self, result: dict[str, Any]) -> None:
        """Write down what did not end: queued starts were never sent, requests in flight are unknown."""
        self._ticker.cancel()
        result["queued"] = self._pool.queued
        result["rate"] = self._recorder.begun_count / result["seconds"]
        if self._error is not None:
            return
        for taker in self._pool.give_up():
            taker.expire("never sent: no connection was free before the load ended")
        for request in list(self._recorder.in_flight):
            request.expire("no answer before the load ended")

    def _note_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The loop's call: a callback failed. The first error ends the load; `run` raises it."""
        error = context.get("exception") or RuntimeError(context["message"])
        self._error = self._error or _ours(error)
        self.stop(drain=0)


def _ours(error: BaseException) -> BaseException:
    """The error that a person can act on: the HTTP parser wraps what its callbacks raise."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, HoldfastError):
        inner = inner.__context__
    return inner or error
