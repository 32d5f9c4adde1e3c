"""What a run's history says about its traffic: pure functions that gates and reports share.

Times in the history are monotonic ns; what these functions return is in ms. Percentiles are exact, by nearest rank.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from math import ceil

import msgspec

from holdfast.ledger import ACCEPTED, ACKNOWLEDGED, FAILED, Request
from holdfast.run import History
from holdfast.timeline import Event, Span, points, spans

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
AROUND = SECOND
"""A request belongs to a switch when it was meant to start within this many ns before or after it."""
CLEAN = SECOND
"""Service is back when every request of this many ns succeeds."""
ENOUGH = 5
"""The fewest requests from which such a span may be called clean."""
_NEVER = 2**63
"""An instant after all others."""


class _Ordered:
    """Requests in the order of a time, to be cut out quickly."""

    def __init__(self, requests: Iterable[Request], time_of: Callable[[Request], int]) -> None:
        self._requests = sorted(requests, key=time_of)
        self._times = [time_of(request) for request in self._requests]

    def between(self, start: int, end: int) -> list[Request]:
        """Those at or after `start` and before `end`."""
        return self._requests[bisect_left(self._times, start) : bisect_left(self._times, end)]


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """Response times in ms from the intended start; exact, by nearest rank."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class SwitchFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One switch of the edge. `propagation_ms` is None when there was no traffic on one of its sides.

    `failed` counts the failed and unknown requests meant to start within 1 s of it, `requests` all of those.
    """

    token: str
    written: int
    source: str
    target: str
    propagation_ms: float | None
    requests: int
    failed: int
    failed_ids: tuple[str, ...] = ()


class FaultRecovery(msgspec.Struct, frozen=True, kw_only=True):
    """How long users felt a fault. `recovery_ms` is None when no clean second was seen in `seen_ms` of traffic."""

    fault: str
    start: int
    recovery_ms: float | None
    seen_ms: float
    bad: int


def nearest_rank(values: Sequence[int], share: float) -> int:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed (nearest rank); 0 of none."""
    return sorted(values)[max(ceil(share * len(values)), 1) - 1] if values else 0


def stream_of(request_id: str, run_id: str) -> str:
    """The stream of a request of this run: ids are `<run id>-<stream>-<n>`; "" for an id of another form."""
    rest = request_id.removeprefix(f"{run_id}-")
    return rest.rpartition("-")[0] if rest != request_id else ""


def traffic(history: History, stream: str | None = None) -> list[Request]:
    """The requests of one stream; by default all."""
    if stream is None:
        return history.requests
    return [r for r in history.requests if stream_of(r.id, history.info.id) == stream]


def users_traffic(history: History, stream: str | None = None) -> list[Request]:
    """The requests of one stream; by default all but those that previewed the idle color, which no user sees."""
    previews = {span.data.get("stream") for span in spans(history.events, "load") if span.data.get("preview")}
    if stream is not None or not previews:
        return traffic(history, stream)
    return [r for r in history.requests if stream_of(r.id, history.info.id) not in previews]


def succeeded(request: Request) -> bool:
    """Acknowledged or accepted."""
    return request.state in (ACKNOWLEDGED, ACCEPTED)


def label(span: Span) -> str:
    """A span in a few words, like `fault kill engine#1`."""
    said = [str(span.data[key]) for key in ("fault", "step", "op", "kind", "target") if span.data.get(key)]
    return " ".join([span.name, *said])


class Live:
    """Answers what was live at a moment; pairs the spans once, for many questions."""

    def __init__(self, history: History) -> None:
        self._spans = [span for name in ("fault", "step") for span in spans(history.events, name)]
        self._switches = points(history.events, "switch")

    def between(self, start: int, end: int) -> list[str]:
        """The faults, steps and switches that were live between `start` and `end` (ns); a switch is for 1 s."""
        found = [label(s) for s in self._spans if s.start <= end and (s.end is None or start <= s.end)]
        return [*found, *(switch_label(p) for p in self._switches if start - AROUND <= _written(p) <= end)]


def switch_label(point: Event) -> str:
    """A switch in a few words: `switch gateway blue → green`; the first comes from nowhere: `switch gateway → blue`."""
    to = point.data.get("to")
    services = list(to) if isinstance(to, dict) else []
    moves = (f"{name} {_color_of(point, 'from', name)} → {_color_of(point, 'to', name)}" for name in services)
    return " ".join(["switch", *", ".join(moves).split()])


def outside_faults(history: History, requests: Iterable[Request], settle_ms: float) -> list[Request]:
    """The requests that no fault touched: over before it began, or begun `settle_ms` after its end."""
    windows = _merged(
        (span.start, None if span.end is None else span.end + round(settle_ms * MILLISECOND))
        for span in spans(history.events, "fault")
    )
    return [r for r in requests if not any(_touches(r, start, end) for start, end in windows)]


def latencies(requests: Iterable[Request]) -> Latencies | None:
    """Response times of what was answered or timed out; None of nothing.

    A request that certainly was not executed has an error, not a response time: fast refusals must not flatter.
    """
    times = sorted(r.latency for r in requests if r.latency is not None and r.state != FAILED)
    if not times:
        return None
    p50, p95, p99 = (nearest_rank(times, share) / MILLISECOND for share in (0.50, 0.95, 0.99))
    return Latencies(count=len(times), p50_ms=p50, p95_ms=p95, p99_ms=p99, max_ms=times[-1] / MILLISECOND)


def switches(history: History, stream: str | None = None) -> list[SwitchFigures]:
    """Measure each switch that moved the edge's service from one color to another.

    Propagation: the last start (`sent`) of a request that the old color answered, minus the moment of the write, or 0.
    Counted are the requests sent from the write on and ended before the next write: one that was under way at a switch
    may rightly be answered by either color. `written` must have been taken before the write, else a request that was
    sent and answered between the write and `written` would count as late by a whole interval.
    """
    moved = sorted((p for p in points(history.events, "switch") if _moves(p)), key=_written)
    writes = [_written(point) for point in moved]
    requests = users_traffic(history, stream)
    colored = _Ordered([r for r in requests if r.settled and r.settled.color and r.offered.sent], _sent)
    all_of_them = _Ordered(requests, _intended)
    return [
        _switch(
            point,
            _propagation(written, end, _color(point, "from"), colored),
            all_of_them.between(written - AROUND, written + AROUND),
        )
        for point, written, end in zip(moved, writes, [*writes[1:], _NEVER], strict=False)
    ]


def recoveries(history: History, slow_ms: float, stream: str | None = None) -> list[FaultRecovery]:
    """Measure each `fault` span: from its start until the start of the first second in which every request succeeds.

    A request is bad when it did not succeed, or took longer than `slow_ms` from its intended start. Bad requests belong
    to a fault while it lasts, and after it as long as less than a second lies between them.
    """
    requests = sorted(users_traffic(history, stream), key=_intended)
    intended = [_intended(r) for r in requests]
    bad = [_intended(r) for r in requests if not succeeded(r) or (r.latency or 0) > slow_ms * MILLISECOND]
    return [_recovery(fault, intended, bad) for fault in spans(history.events, "fault")]


def _recovery(fault: Span, intended: Sequence[int], bad: Sequence[int]) -> FaultRecovery:
    last_seen = intended[-1] if intended else fault.start
    first = bisect_left(bad, fault.start)
    reach = last_seen if fault.end is None else max(fault.end, fault.start)
    last, count = fault.start, 0
    for at in bad[first:]:
        if at > max(reach, last) + CLEAN:
            break
        last, count = at, count + 1
    clean = bisect_right(intended, last + CLEAN) - bisect_right(intended, last)
    proven = clean >= ENOUGH and last_seen >= last + CLEAN * 9 // 10
    return FaultRecovery(
        fault=label(fault),
        start=fault.start,
        recovery_ms=(last - fault.start) / MILLISECOND if proven else None,
        seen_ms=max(last_seen - fault.start, 0) / MILLISECOND,
        bad=count,
    )


def _switch(point: Event, propagation_ms: float | None, around: Sequence[Request]) -> SwitchFigures:
    failed = [r.id for r in around if not succeeded(r)]
    return SwitchFigures(
        token=str(point.data.get("token", "")),
        written=_written(point),
        source=_color(point, "from"),
        target=_color(point, "to"),
        propagation_ms=propagation_ms,
        requests=len(around),
        failed=len(failed),
        failed_ids=tuple(failed[:20]),
    )


def _propagation(written: int, end: int, old: str, colored: _Ordered) -> float | None:
    before = colored.between(written - AROUND, written)
    after = [r for r in colored.between(written, end) if r.settled is not None and r.settled.at < end]
    if not before or not after or _sent(after[0]) > written + AROUND:
        return None
    late = [_sent(r) for r in after if r.settled is not None and r.settled.color == old]
    return (late[-1] - written) / MILLISECOND if late else 0.0


def _sent(request: Request) -> int:
    return request.offered.sent


def _intended(request: Request) -> int:
    return request.offered.intended


def _written(point: Event) -> int:
    return int(point.data.get("written", point.at))


def _color(point: Event, side: str) -> str:
    """The color of the service that the edge leads to: the one whose color the answers name."""
    return _color_of(point, side, str(point.data.get("edge", "gateway")))


def _color_of(point: Event, side: str, service: str) -> str:
    colors = point.data.get(side)
    return str(colors.get(service, "")) if isinstance(colors, dict) else ""


def _moves(point: Event) -> bool:
    """A first release comes from nowhere, and an engine may move alone: neither has an old edge color."""
    source, target = _color(point, "from"), _color(point, "to")
    return bool(source and target and source != target)


def _touches(request: Request, start: int, end: int | None) -> bool:
    over = request.settled.at if request.settled else None
    return (over is None or over >= start) and (end is None or request.offered.intended <= end)


def _merged(windows: Iterable[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
    """Overlapping windows as one; an open end covers all that follows."""
    merged: list[tuple[int, int | None]] = []
    for start, end in sorted(windows, key=lambda window: window[0]):
        if merged and (merged[-1][1] is None or start <= merged[-1][1]):
            last_start, last_end = merged[-1]
            merged[-1] = (last_start, None if last_end is None or end is None else max(last_end, end))
        else:
            merged.append((start, end))
    return merged
