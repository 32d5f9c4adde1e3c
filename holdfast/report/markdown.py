"""The report as Markdown: for a pull request, a job summary, a chat."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from holdfast.report import words
from holdfast.report.model import NamedRequest, Report, RouteLatency

SHOWN = 50
"""So many requests of a kind are in the tables; report.json has them all."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def to_markdown(report: Report) -> str:
    """Render the report. What a run recorded is escaped, so that it cannot become markup."""
    parts = [*_head(report), *_verdicts(report), *_ledger(report), *_wrong(report), *_release(report)]
    parts += [*_faults(report), *_latency(report), *_generator(report)]
    return "\n\n".join(parts) + "\n"


def _head(report: Report) -> Iterator[str]:
    yield f"# {report.outcome.value}: {words.headline(report)}"
    run = report.run
    yield (
        f"`holdfast {_code(run.command)}` · stack {_text(run.stack or 'none')} · {words.started(report)} · "
        f"{words.seconds(report.seconds)} s · commit {words.commit(report)} · seed {run.seed} · run `{_code(run.id)}`"
    )


def _verdicts(report: Report) -> Iterator[str]:
    yield "## Verdicts"
    rows = [(f"**{each.outcome.value}**", _text(each.gate), _text(each.because)) for each in report.verdicts]
    yield _table(("outcome", "gate", "because"), rows) if rows else "Nothing was judged."


def _ledger(report: Report) -> Iterator[str]:
    yield "## Ledger"
    names = (*words.COUNTED, *words.RECONCILED)
    yield _table(names, [[words.counted(report, name) for name in names]], right=range(len(names)))
    if not report.ledger.complete:
        yield "The effects were not read: what was lost or duplicated is not known."


def _wrong(report: Report) -> Iterator[str]:
    for word, requests in words.wrong(report):
        yield f"### {words.number(len(requests))} {word}"
        yield _requests(requests)
    for word, count, requests in (
        ("failed", report.ledger.failed, report.named.failed),
        ("unknown", report.ledger.unknown, report.named.unknown),
    ):
        if requests:
            yield f"<details><summary>{words.number(count)} {word}</summary>"
            yield _requests(requests)
            yield "</details>"


def _requests(requests: Sequence[NamedRequest]) -> str:
    rows = [
        (
            f"`{_code(each.id)}`",
            _text(each.route),
            words.seconds(each.at_s),
            _text(words.said(each)),
            _text(each.instance),
            str(each.effects),
            _text("; ".join(each.during) or "nothing"),
        )
        for each in requests[:SHOWN]
    ]
    header = ("request", "route", "at, s", "client was told", "instance", "effects", "live at that moment")
    more = f"\n\nThe first {SHOWN} of {len(requests)}; report.json names more." if len(requests) > SHOWN else ""
    return _table(header, rows, right=(2, 5)) + more


def _release(report: Report) -> Iterator[str]:
    if report.release.switches:
        yield "## Switches"
        rows = [
            (
                _text(words.move(each)),
                _text(each.op),
                words.seconds(each.at_s),
                words.milliseconds(each.propagation_ms),
                f"{each.failed} of {each.requests}",
            )
            for each in report.release.switches[:SHOWN]
        ]
        yield _table(("moved", "by", "at, s", "propagation, ms", "failed ± 1 s"), rows, right=(2, 3, 4))
    bad = [step for step in report.release.steps if not step.ok]
    if bad:
        yield "## Steps that did not end well"
        rows = [(_text(s.op), _text(s.step), words.seconds(s.start_s), words.passed(s.ok), _text(s.error)) for s in bad]
        yield _table(("operation", "step", "at, s", "ended", "error"), rows, right=(2,))


def _faults(report: Report) -> Iterator[str]:
    if report.faults:
        yield "## Faults"
        rows = [
            (
                _text(each.fault),
                _text(each.target),
                words.seconds(each.start_s),
                words.seconds(each.end_s),
                "not seen" if each.recovery_s is None else words.seconds(each.recovery_s),
                words.number(each.bad),
            )
            for each in report.faults
        ]
        header = ("fault", "target", "from, s", "to, s", "felt for, s", "requests hit")
        yield _table(header, rows, right=range(2, 6))


def _latency(report: Report) -> Iterator[str]:
    if report.latency.overall:
        yield "## Response times, ms from the intended start"
        every = RouteLatency(overall=report.latency.overall, outside_faults=report.latency.outside_faults)
        rows = [_times("**all routes**", every)]
        rows += [_times(_text(route), times) for route, times in report.latency.routes.items()]
        header = ("route", "count", "p50", "p95", "p99", "p99 outside of faults")
        yield _table(header, rows, right=range(1, 6))


def _times(name: str, times: RouteLatency) -> tuple[str, ...]:
    overall, calm = times.overall, times.outside_faults
    figures = (overall.p50_ms, overall.p95_ms, overall.p99_ms) if overall else (None, None, None)
    count = words.number(overall.count if overall else 0)
    return name, count, *map(words.milliseconds, figures), words.milliseconds(calm.p99_ms if calm else None)


def _generator(report: Report) -> Iterator[str]:
    if report.generator.streams:
        yield "## Load generator"
        rows = [
            (
                _text(each.stream),
                words.number(each.rate),
                words.number(each.offered),
                words.share(each.achieved_ratio),
                words.milliseconds(each.lag_p99_ms),
                words.milliseconds(each.worst_stall_ms),
            )
            for each in report.generator.streams
        ]
        header = ("stream", "asked, per s", "offered", "made of due", "lag p99, ms", "worst stall, ms")
        yield _table(header, rows, right=range(1, 6))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    rule = ["---:" if k in right else "---" for k in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def _text(text: str) -> str:
    """Text that is no markup, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Text inside of backticks."""
    return " ".join(text.replace("`", "'").replace("|", "\\|").split())
