"""The users' traffic second by second: what the timeline picture shows."""

from __future__ import annotations

from collections import Counter, defaultdict

from holdfast.ledger import ACCEPTED, ACKNOWLEDGED, FAILED, UNKNOWN, Request
from holdfast.measures import SECOND, latencies, succeeded, users_traffic
from holdfast.report.model import Second
from holdfast.run import History


def per_second(history: History) -> list[Second]:
    """One entry a second from the first request's to the last one's, those between without traffic included."""
    buckets: dict[int, list[Request]] = defaultdict(list)
    for request in users_traffic(history):
        buckets[(request.offered.intended - history.info.started) // SECOND].append(request)
    if not buckets:
        return []
    return [_second(second, buckets.get(second, [])) for second in range(min(buckets), max(buckets) + 1)]


def _second(second: int, requests: list[Request]) -> Second:
    states = Counter(request.state for request in requests)
    times = latencies(requests)
    return Second(
        second=second,
        offered=len(requests),
        acknowledged=states[ACKNOWLEDGED],
        accepted=states[ACCEPTED],
        failed=states[FAILED],
        unknown=states[UNKNOWN],
        colors=dict(sorted(Counter(r.settled.color for r in requests if r.settled and succeeded(r)).items())),
        p99_ms=times.p99_ms if times else None,
    )
