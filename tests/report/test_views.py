"""Markdown, JUnit and the terminal against committed files, and against text that wants to be markup."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.golden import assert_golden
from support.history import RunOf, verify_run

from holdfast.ledger import FAILED
from holdfast.report.build import build_report
from holdfast.report.junit import to_junit
from holdfast.report.markdown import to_markdown
from holdfast.report.model import Report
from holdfast.report.text import summary
from holdfast.verdict import Outcome, Verdict

GOLDEN = Path(__file__).parent / "golden"
PAGE = Path(".holdfast/runs/r/report.html")


@pytest.mark.parametrize("name", ["good", "bad"])
def test_markdown_reads_as_committed(name: str, request: pytest.FixtureRequest) -> None:
    assert_golden(GOLDEN / f"{name}.md", to_markdown(request.getfixturevalue(name)))


@pytest.mark.parametrize("name", ["good", "bad"])
def test_junit_reads_as_committed(name: str, request: pytest.FixtureRequest) -> None:
    assert_golden(GOLDEN / f"{name}.xml", to_junit(request.getfixturevalue(name)))


@pytest.mark.parametrize("name", ["good", "bad"])
def test_the_terminal_reads_as_committed(name: str, request: pytest.FixtureRequest) -> None:
    assert_golden(GOLDEN / f"{name}.txt", summary(request.getfixturevalue(name), PAGE) + "\n")


def suite(report: Report) -> ElementTree.Element:
    found = ElementTree.fromstring(to_junit(report)).find("testsuite")  # noqa: S314 - our own document
    assert found is not None
    return found


def test_in_junit_fail_is_a_failure_and_unknown_is_an_error(bad: Report) -> None:
    found = suite(bad)
    marks = {case.get("name"): [child.tag for child in case] for case in found.iter("testcase")}
    assert marks == {"nothing-lost": ["failure"], "latency": ["system-out"], "recovery": ["error"]}
    assert (found.get("tests"), found.get("failures"), found.get("errors")) == ("3", "1", "1")


def test_in_junit_no_verdict_is_an_error_and_not_an_empty_suite() -> None:
    found = suite(build_report(RunOf().history(), []))
    assert (found.get("tests"), found.get("errors")) == ("1", "1")


def test_junit_stays_xml_whatever_a_gate_says() -> None:
    verdict = Verdict(gate="g\x00", outcome=Outcome.FAIL, because="]]> <&\x1b[31m\ufffe", evidence={"<": "\x07"})
    found = suite(build_report(RunOf().history(command="verify \x1b"), [verdict]))
    failure = found.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "]]> <&\ufffd[31m\ufffd"


def hostile() -> Report:
    run = verify_run()
    detail = "a | b\n# c <b>d</b> `e` \x1b[31mred\r\x07"
    run.request(20.0, state=FAILED, status=500, effects=1, detail=detail, color="")
    return build_report(run.history(), [Verdict(gate="g|h", outcome=Outcome.FAIL, because=detail)])


def test_in_markdown_what_was_recorded_stays_in_its_cell() -> None:
    text = to_markdown(hostile())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (4, 6, 7, 8, 9) for row in rows)
    assert r"a \| b \# c \<b\>d\</b\> \`e\`" in text
    assert "\n# c" not in text


def test_the_terminal_is_not_steered_by_what_was_recorded() -> None:
    text = summary(hostile(), PAGE)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "a | b # c" in text


def test_the_terminal_begins_with_the_outcome_and_ends_with_the_page(bad: Report) -> None:
    lines = summary(bad, PAGE).splitlines()
    assert lines[0] == "FAIL: 1 of 3 gates failed"
    assert lines[-1] == f"report: {PAGE}"


def test_the_terminal_names_ten_of_many_lost_and_counts_the_rest() -> None:
    run = RunOf()
    for k in range(25):
        run.request(k / 10, effects=0)
    text = summary(build_report(run.history(), []), PAGE)
    assert text.count(" chat at ") == 10
    assert "… and 15 more" in text


def test_without_effects_the_views_say_that_lost_is_not_known() -> None:
    run = RunOf()
    run.request(1)
    run.effects = None
    report = build_report(run.history(), [])
    assert "lost –   duplicated –" in summary(report, PAGE)
    assert "what was lost or duplicated is not known" in to_markdown(report)
