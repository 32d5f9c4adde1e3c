"""How outcomes, numbers and moments read in every view."""

from __future__ import annotations

from datetime import UTC, datetime

from holdfast.report.model import NamedRequest, Report, SwitchLine
from holdfast.verdict import Outcome

NOT_MEASURED = "–"
"""Stands where a figure was not measured: it must not look like a zero."""

COUNTED = ("offered", "acknowledged", "accepted", "failed", "unknown")
RECONCILED = ("lost", "duplicated", "unexplained")
"""The ledger's eight numbers: what clients saw, and what the effects say of it."""


def headline(report: Report) -> str:
    """The outcome in a sentence."""
    total = len(report.verdicts)
    if not total:
        return "nothing was judged"
    if report.outcome is Outcome.PASS:
        return f"all {total} gates passed" if total > 1 else "its one gate passed"
    said = "failed" if report.outcome is Outcome.FAIL else "could not judge"
    if total == 1:
        return f"its one gate {said}"
    decided = sum(1 for verdict in report.verdicts if verdict.outcome is report.outcome)
    return f"{decided} of {total} gates {said}"


def reasons(report: Report) -> list[tuple[str, str]]:
    """Why it is so: gate and reason of each verdict that decided; of a pass, what it stands on."""
    if report.outcome is not Outcome.PASS:
        return [(each.gate, each.because) for each in report.verdicts if each.outcome is report.outcome]
    counts = (
        (report.ledger.offered, "request"),
        (len(report.release.switches), "switch"),
        (len(report.faults), "fault"),
    )
    seen = ", ".join(plural(count, noun) for count, noun in counts if count)
    return [("", f"{seen} in {seconds(report.seconds)} s")] if seen else []


def plural(count: int, noun: str) -> str:
    """`1 switch`, `1,000 switches`."""
    ending = "" if count == 1 else "es" if noun.endswith("ch") else "s"
    return f"{number(count)} {noun}{ending}"


def number(value: float | None) -> str:
    """A count with thousands: 12,345."""
    return NOT_MEASURED if value is None else f"{value:,.0f}"


def milliseconds(value: float | None) -> str:
    """Three significant digits: 0.34, 4.9, 11.2, 420, 10,000."""
    if value is None:
        return NOT_MEASURED
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 or value == 0 else f"{value:.2f}"


def seconds(value: float | None) -> str:
    """Hundredths of a second, tenths from 100 s on."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.2f}"


def share(value: float | None) -> str:
    """A share as percent."""
    return NOT_MEASURED if value is None else f"{value:.1%}"


def passed(ok: bool | None) -> str:
    """How a span ended."""
    return {True: "ok", False: "failed", None: "cut off"}[ok]


def absent(report: Report) -> list[str]:
    """What this run had none of: a view says so in a line, rather than with empty tables."""
    parts = {
        "load": report.generator.streams or report.ledger.offered,
        "switches": report.release.switches,
        "faults": report.faults,
        "phases": report.phases,
        "release steps": report.release.steps,
    }
    return [name for name, part in parts.items() if not part]


def counted(report: Report, word: str) -> str:
    """One of the ledger's numbers; lost and duplicated are not known when the effects were not read."""
    known = report.ledger.complete or word not in ("lost", "duplicated")
    return number(getattr(report.ledger, word)) if known else NOT_MEASURED


def started(report: Report) -> str:
    """When the run began, UTC."""
    return datetime.fromtimestamp(report.run.started_wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def commit(report: Report) -> str:
    """The short commit, and whether the folder had changes."""
    if not report.run.commit:
        return "none"
    return report.run.commit[:12] + (" with changes" if report.run.dirty else "")


def move(switch: SwitchLine) -> str:
    """What a switch moved: `blue → green`, with services by name where they do not move alike."""
    moves = {service: _arrow(switch.from_.get(service, ""), color) for service, color in switch.to.items()}
    if len(set(moves.values())) == 1 and len(moves) > 1:
        return next(iter(moves.values()))
    return ", ".join(f"{service} {arrow}" for service, arrow in moves.items())


def said(request: NamedRequest) -> str:
    """What a client or the stack said of a request: its status and detail."""
    status = str(request.status) if request.status else ""
    return " ".join(part for part in (request.state, status, request.detail) if part)


def wrong(report: Report) -> list[tuple[str, list[NamedRequest]]]:
    """Lost, duplicated and unexplained requests, those that there are."""
    named = {word: getattr(report.named, word) for word in RECONCILED}
    return [(word, requests) for word, requests in named.items() if requests]


def _arrow(source: str, target: str) -> str:
    return f"{source} → {target}" if source else f"→ {target}"
