"""Builds the report: a pure function of what was recorded and of what the gates say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from holdfast.ledger import Request, count
from holdfast.measures import (
    AROUND,
    SECOND,
    latencies,
    outside_faults,
    recoveries,
    succeeded,
    switches,
    users_traffic,
)
from holdfast.report.figures import flat_figures
from holdfast.report.model import (
    FaultLine,
    Generator,
    Latency,
    Ledger,
    Note,
    PhaseLine,
    Release,
    Report,
    RouteLatency,
    StepLine,
    Stream,
    SwitchLine,
)
from holdfast.report.named import name_requests
from holdfast.report.series import per_second
from holdfast.run import History
from holdfast.timeline import Event, Phase, points, spans
from holdfast.verdict import Verdict, worst

SLOW_MS = 1000.0
"""A slower answer counts as an effect of a fault: the recovery gate's own limit."""
SETTLE_MS = 1000.0
"""Requests up to this long after a fault still belong to it: the latency gate's own limit."""

_NOTES: dict[str, Callable[[dict[str, Any]], str]] = {
    "note": lambda data: str(data.get("text", "")),
    "restart": lambda data: f"{data.get('unit', '')} restarted: {data.get('reason', '')}",
    "drained": lambda data: f"{data.get('op', '')}: {data.get('leftovers', 0)} requests left after the drain",
}
"""Points that are told as notes, and how."""


def build_report(history: History, verdicts: Sequence[Verdict]) -> Report:
    """Build the report of a run."""
    outcome = worst(verdict.outcome for verdict in verdicts)
    report = Report(
        outcome=outcome,
        exit_code=int(outcome.exit_code),
        run=history.info,
        seconds=_duration(history),
        ledger=_ledger(history),
        named=name_requests(history),
        release=Release(steps=_steps(history), switches=_switches(history)),
        faults=_faults(history),
        phases=_phases(history),
        latency=_latency(history),
        generator=Generator(streams=_streams(history)),
        verdicts=list(verdicts),
        figures={},
        notes=_notes(history),
        series=per_second(history),
    )
    return msgspec.structs.replace(report, figures=flat_figures(report))


def _ledger(history: History) -> Ledger:
    counts = count(history.requests, history.reconciliation)
    return Ledger(**msgspec.structs.asdict(counts), complete=history.reconciliation.complete)


def _steps(history: History) -> list[StepLine]:
    return [
        StepLine(
            op=str(span.data.get("op", "")),
            step=str(span.data.get("step", "")),
            version=str(span.data.get("version", "")),
            start_s=_since(history, span.start),
            end_s=_end(history, span.end),
            ok=span.ok,
            error=str(span.data.get("error", "")),
        )
        for span in spans(history.events, "step")
    ]


def _switches(history: History) -> list[SwitchLine]:
    measured = {each.written: each for each in switches(history)}
    requests = users_traffic(history)
    lines = []
    for point in points(history.events, "switch"):
        written = int(point.data.get("written", point.at))
        figures = measured.get(written)
        around = [r for r in requests if abs(r.offered.intended - written) <= AROUND]
        lines.append(
            SwitchLine(
                op=str(point.data.get("op", "")),
                at_s=_since(history, written),
                from_=_colors(point, "from"),
                to=_colors(point, "to"),
                propagation_ms=figures.propagation_ms if figures else None,
                requests=len(around),
                failed=sum(1 for request in around if not succeeded(request)),
            )
        )
    return lines


def _faults(history: History) -> list[FaultLine]:
    felt = recoveries(history, SLOW_MS)
    return [
        FaultLine(
            fault=str(span.data.get("fault", "")),
            target=str(span.data.get("target", "")),
            start_s=_since(history, span.start),
            end_s=_end(history, span.end),
            recovery_s=None if figures.recovery_ms is None else figures.recovery_ms / 1000,
            bad=figures.bad,
        )
        for span, figures in zip(spans(history.events, "fault"), felt, strict=True)
    ]


def _phases(history: History) -> list[PhaseLine]:
    return [
        PhaseLine(
            phase=str(span.data.get("phase", "")),
            start_s=_since(history, span.start),
            seconds=None if span.end is None else (span.end - span.start) / SECOND,
            ok=span.ok,
        )
        for span in spans(history.events, "phase")
    ]


def _latency(history: History) -> Latency:
    requests = users_traffic(history)
    calm = outside_faults(history, requests, SETTLE_MS)

    def of(route: str, candidates: Iterable[Request]) -> list[Request]:
        return [request for request in candidates if request.offered.route == route]

    return Latency(
        overall=latencies(requests),
        outside_faults=latencies(calm),
        routes={
            route: RouteLatency(overall=latencies(of(route, requests)), outside_faults=latencies(of(route, calm)))
            for route in sorted({request.offered.route for request in requests})
        },
    )


def _streams(history: History) -> list[Stream]:
    results = {point.data.get("stream"): point.data for point in points(history.events, "load.result")}
    streams = []
    for load in spans(history.events, "load"):
        name = load.data.get("stream")
        result = results.get(name, {})
        health = [p.data for p in points(history.events, "load.health") if p.data.get("stream") == name]
        streams.append(
            Stream(
                stream=str(name),
                profile=str(load.data.get("profile", "")),
                rate=float(load.data.get("rate", 0)),
                preview=bool(load.data.get("preview")),
                offered=result.get("offered"),
                lag_p99_ms=result.get("lag_p99_ms"),
                worst_stall_ms=result.get("worst_stall_ms"),
                achieved_ratio=result.get("achieved_ratio"),
                queued=result.get("queued"),
                cpu_share_max=max((float(each.get("cpu_share", 0)) for each in health), default=None),
            )
        )
    return streams


def _notes(history: History) -> list[Note]:
    return [
        Note(at_s=_since(history, event.at), kind=event.name, text=_NOTES[event.name](event.data))
        for event in history.events
        if event.phase is Phase.POINT and event.name in _NOTES
    ]


def _duration(history: History) -> float:
    """Seconds from the start of the run to the last thing that was recorded."""
    ends = [event.at for event in history.events] + [r.settled.at for r in history.requests if r.settled]
    return max(_since(history, max(ends, default=history.info.started)), 0.0)


def _since(history: History, at: int) -> float:
    return (at - history.info.started) / SECOND


def _end(history: History, at: int | None) -> float | None:
    return None if at is None else _since(history, at)


def _colors(point: Event, side: str) -> dict[str, str]:
    colors = point.data.get(side)
    return {str(service): str(color) for service, color in colors.items()} if isinstance(colors, dict) else {}
