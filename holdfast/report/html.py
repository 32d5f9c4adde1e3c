"""The page: one self-contained HTML file with tables and the timeline picture, light and dark, fit for paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import msgspec

from holdfast.report import words
from holdfast.report.model import Report
from holdfast.report.picture import layout

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 200
"""So many requests of a kind are in the page's tables; report.json has them all."""


def to_html(report: Report) -> str:
    """Render the page. Whatever a run recorded is escaped; the page loads nothing and runs nothing."""
    picture = layout(report)
    template = _environment().get_template("page.html.j2")
    return template.render(report=report, picture=picture, words=words, shown=SHOWN, legend=_legend(report))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "ms": words.milliseconds,
        "s": words.seconds,
        "share": words.share,
        "passed": words.passed,
        "json": _json,
    }
    return environment


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _legend(report: Report) -> list[str]:
    """The kinds that the picture really shows."""
    seen = {color if color in ("blue", "green") else "other" for second in report.series for color in second.colors}
    kinds: list[str] = [color for color in ("blue", "green", "other") if color in seen]
    kinds += [word for word in ("failed", "unknown") if any(getattr(second, word) for second in report.series)]
    return kinds + (["fault"] if report.faults else [])
