"""The figures of a report as one flat map of name to number, for dashboards and for comparing runs."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.report.model import Report


def flat_figures(report: Report) -> dict[str, float]:
    """Name each figure that was measured; a figure that was not is left out."""
    return {name: float(value) for name, value in _figures(report) if value is not None}


def _figures(report: Report) -> Iterator[tuple[str, float | None]]:
    ledger = report.ledger
    yield "seconds", report.seconds
    yield "offered", ledger.offered
    yield "offered_per_s", _offered_per_s(report)
    yield "error_ratio", (ledger.failed + ledger.unknown) / ledger.offered if ledger.offered else None
    if ledger.complete:
        yield "lost", ledger.lost
        yield "duplicated", ledger.duplicated
        yield "unexplained", ledger.unexplained
    for name, times in (("", report.latency.overall), ("outside_faults_", report.latency.outside_faults)):
        yield f"{name}p50_ms", times.p50_ms if times else None
        yield f"{name}p95_ms", times.p95_ms if times else None
        yield f"{name}p99_ms", times.p99_ms if times else None
    yield "switches", len(report.release.switches)
    yield "propagation_max_ms", _highest(each.propagation_ms for each in report.release.switches)
    yield "faults", len(report.faults)
    yield "recovery_max_s", _recovery(report)


def _offered_per_s(report: Report) -> float | None:
    """Over the seconds that had traffic."""
    seconds = [each.offered for each in report.series if each.offered]
    return sum(seconds) / len(seconds) if seconds else None


def _recovery(report: Report) -> float | None:
    """The longest; not known when one of the faults has no clean second after it."""
    if any(fault.recovery_s is None for fault in report.faults):
        return None
    return _highest(fault.recovery_s for fault in report.faults)


def _highest(values: Iterator[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
