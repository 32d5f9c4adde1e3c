"""Writes a report beside its run: the document and its views, each replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import msgspec

from holdfast.durable import replace_file
from holdfast.report.html import to_html
from holdfast.report.junit import to_junit
from holdfast.report.markdown import to_markdown
from holdfast.report.model import Report


def write_report(run_dir: Path, report: Report) -> Path:
    """Write report.json, report.md, junit.xml and report.html; returns the path of report.html.

    The page comes last: where it is, the others are. Raises EnvironmentFailed when the disk does not take them.
    """
    page = run_dir / "report.html"
    replace_file(run_dir / "report.json", msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    replace_file(run_dir / "report.md", to_markdown(report).encode())
    replace_file(run_dir / "junit.xml", to_junit(report).encode())
    replace_file(page, to_html(report).encode())
    return page


def read_report(run_dir: Path) -> Report:
    """Read report.json back. Raises FileNotFoundError, and msgspec's errors where it is no report of ours."""
    return msgspec.json.decode((run_dir / "report.json").read_bytes(), type=Report)
