"""What a load worker remembers: the ledger's records, three histograms a route, what is in flight, how late it was.

Times: *intended* is when the request was meant to start, *begun* when it was given a connection (or began to open one),
*sent* when its bytes were written. response = end - intended, service = end - begun, lag = begun - intended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from holdfast.ledger import ACCEPTED, ACKNOWLEDGED, FAILED, LedgerWriter, Offered, Settled
from holdfast.load.histogram import Histogram
from holdfast.load.request import Start


class InFlight(Protocol):
    """A request that has begun and is not over."""

    begun_at: int

    def expire(self, why: str) -> None:
        """End it now, whatever it waits for."""
        ...


@dataclass(slots=True)
class RouteFigures:
    """The figures of one route. A request that certainly was not executed counts, but has no latency."""

    response: Histogram = field(default_factory=Histogram)
    service: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)
    count: int = 0
    errors: int = 0
    repeats: int = 0

    def summary(self) -> dict[str, Any]:
        """The route's line in `load.result`; times in ms, `repeats` are sends after the first of a request."""
        return {
            "count": self.count,
            "errors": self.errors,
            "repeats": self.repeats,
            "response_p50_ms": self.response.percentile_ms(50),
            "response_p95_ms": self.response.percentile_ms(95),
            "response_p99_ms": self.response.percentile_ms(99),
            "service_p99_ms": self.service.percentile_ms(99),
            "lag_p99_ms": self.lag.percentile_ms(99),
        }


class Recorder:
    """Takes every step of every request; a ledger record is in the kernel before the step goes on."""

    def __init__(self, ledger: LedgerWriter, routes: list[str]) -> None:
        self._ledger = ledger
        self.routes = {name: RouteFigures() for name in routes}
        self.in_flight: dict[InFlight, None] = {}
        self.begun_count = 0
        self.offered = 0
        self.fresh_lags: list[int] = []

    def begun(self, request: InFlight, start: Start) -> None:
        """A request has left the queue."""
        self.in_flight[request] = None
        self.begun_count += 1
        lag = request.begun_at - start.intended
        self.fresh_lags.append(lag)
        self.routes[start.template.name].lag.record(lag)

    def offer(self, start: Start, sent: int) -> None:
        """Write that the request is about to be sent; once more for each repeat, so that the last `sent` stands."""
        route = start.template.route
        self._ledger.offer(Offered(start.id, start.template.name, start.key, route.effect, start.intended, sent))

    def repeated(self, start: Start) -> None:
        """The request is sent once more."""
        self.routes[start.template.name].repeats += 1

    def settle(self, start: Start, begun_at: int, record: Settled) -> None:
        """Write how the request ended for the client."""
        self._ledger.settle(record)
        figures = self.routes[start.template.name]
        self.offered += 1
        figures.count += 1
        if record.state not in (ACKNOWLEDGED, ACCEPTED):
            figures.errors += 1
        if record.state != FAILED:
            figures.response.record(record.at - start.intended)
            figures.service.record(record.at - begun_at)

    def left(self, request: InFlight) -> None:
        """The request holds nothing any more."""
        self.in_flight.pop(request, None)

    def take_lags(self) -> list[int]:
        """The lags (ns) of the requests that have begun since the last call."""
        lags, self.fresh_lags = self.fresh_lags, []
        return lags

    @property
    def lag_p99_ms(self) -> float:
        """p99 of the lag over all routes so far."""
        total = Histogram()
        for figures in self.routes.values():
            total.add(figures.lag)
        return total.percentile_ms(99)
