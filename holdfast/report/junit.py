"""The report as JUnit XML, for CI: a test case a verdict. Fail is a failure, unknown is an error, never a skip."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import msgspec

from holdfast.report.model import Report
from holdfast.verdict import Outcome, Verdict

NO_VERDICT = Verdict(gate="verdict", outcome=Outcome.UNKNOWN, because="nothing was judged")
"""A suite without a case would look passed."""

_MARKS = {Outcome.FAIL: "failure", Outcome.UNKNOWN: "error"}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, even escaped (section 2.2)."""


def to_junit(report: Report) -> str:
    """Render the verdicts as one test suite."""
    verdicts = report.verdicts or [NO_VERDICT]
    suite = Element(
        "testsuite",
        name=_clean(f"holdfast {report.run.command}"),
        tests=str(len(verdicts)),
        failures=str(sum(1 for each in verdicts if each.outcome is Outcome.FAIL)),
        errors=str(sum(1 for each in verdicts if each.outcome is Outcome.UNKNOWN)),
        skipped="0",
        time=f"{report.seconds:.3f}",
        timestamp=datetime.fromtimestamp(report.run.started_wall, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    )
    for name, value in (("run", report.run.id), ("commit", report.run.commit), ("outcome", report.outcome.value)):
        _properties(suite, name, value)
    for verdict in verdicts:
        _case(suite, report, verdict)
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _properties(suite: Element, name: str, value: str) -> None:
    found = suite.find("properties")
    SubElement(SubElement(suite, "properties") if found is None else found, "property", name=name, value=_clean(value))


def _case(suite: Element, report: Report, verdict: Verdict) -> None:
    name = "holdfast." + (report.run.command.split() or ["run"])[0]
    case = SubElement(suite, "testcase", classname=_clean(name), name=_clean(verdict.gate), time="0")
    evidence = msgspec.json.format(msgspec.json.encode(verdict.evidence), indent=2).decode()
    if mark := _MARKS.get(verdict.outcome):
        told = SubElement(case, mark, message=_clean(verdict.because), type=verdict.outcome.value)
        told.text = _clean(f"{verdict.because}\n{evidence}")
    else:
        SubElement(case, "system-out").text = _clean(verdict.because)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
