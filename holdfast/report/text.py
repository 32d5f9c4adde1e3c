"""The report in a terminal: what a person reads at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from holdfast.report import words
from holdfast.report.model import FaultLine, NamedRequest, Report, SwitchLine

SHOWN = 10
"""So many requests of a kind, and so many switches, are printed."""


def summary(report: Report, path: Path) -> str:
    """The outcome, the ledger, the switches, the verdicts, the requests that went wrong; where the page is."""
    blocks = ([_headline(report)], _ledger(report), _events(report), _verdicts(report), _wrong(report))
    told = ["\n".join(lines) for block in blocks if (lines := [_plain(line) for line in block])]
    return "\n\n".join([*told, f"report: {path}"])


def _headline(report: Report) -> str:
    return f"{report.outcome.value.upper()}: {words.headline(report)}"


def _ledger(report: Report) -> Iterator[str]:
    if not report.ledger.offered and not report.ledger.unexplained:
        return
    for names in (words.COUNTED, words.RECONCILED):
        yield "  " + "   ".join(f"{name} {words.counted(report, name)}" for name in names)
    if not report.ledger.complete:
        yield "  the effects were not read: what was lost or duplicated is not known"


def _events(report: Report) -> Iterator[str]:
    switches, faults = report.release.switches, report.faults
    told = [(each.at_s, _switch(each)) for each in switches[:SHOWN]]
    told += [(each.start_s, _fault(each)) for each in faults[:SHOWN]]
    for at_s, text in sorted(told):
        yield f"  {words.seconds(at_s):>7} s  {text}"
    if more := len(switches[SHOWN:]) + len(faults[SHOWN:]):
        yield f"  … and {words.number(more)} more switches and faults"


def _switch(each: SwitchLine) -> str:
    felt = "" if each.propagation_ms is None else f", propagation {words.milliseconds(each.propagation_ms)} ms"
    return f"switch {words.move(each)} ({each.op}){felt}, {each.failed} failed"


def _fault(each: FaultLine) -> str:
    felt = "recovery not seen" if each.recovery_s is None else f"felt for {words.seconds(each.recovery_s)} s"
    return f"fault {each.fault} {each.target}, {felt}"


def _verdicts(report: Report) -> Iterator[str]:
    width = max((len(each.gate) for each in report.verdicts), default=0)
    for each in report.verdicts:
        yield f"  {each.outcome.value:<7}  {each.gate:<{width}}  {each.because}"


def _wrong(report: Report) -> Iterator[str]:
    for word, requests in words.wrong(report):
        yield f"{word}:"
        yield from (_request(each) for each in requests[:SHOWN])
        if len(requests) > SHOWN:
            yield f"  … and {words.number(len(requests) - SHOWN)} more"


def _request(each: NamedRequest) -> str:
    at = "" if each.at_s is None else f" at {words.seconds(each.at_s)} s"
    during = f", during {'; '.join(each.during)}" if each.during else ""
    return f"  {each.id}  {each.route or 'no request'}{at}{during}"


def _plain(line: str) -> str:
    """One line without control characters: what a stack answered must not steer the terminal."""
    return "".join(char if char.isprintable() else " " for char in line).rstrip()
