"""The page: well formed, loads nothing, names everything, and what a run recorded cannot become markup."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest
from support.history import STEPS, RunOf, verify_run

from holdfast.ledger import FAILED
from holdfast.report.build import build_report
from holdfast.report.html import to_html
from holdfast.report.model import Report
from holdfast.verdict import Outcome, Verdict

VOID = {"meta", "br", "hr", "img", "link", "input", "col"}
SCRIPT = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Collects tags, attributes and text; finds tags that are closed in the wrong order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())

    def count(self, tag: str, css: str = "") -> int:
        return sum(1 for name, attrs in self.tags if name == tag and css in (attrs.get("class") or ""))


@pytest.fixture(scope="module")
def page(bad: Report) -> Page:
    return Page(to_html(bad))


def picture(report: Report) -> ElementTree.Element:
    """The SVG, read by a strict parser."""
    found = re.search(r"<svg .*?</svg>", to_html(report), re.S)
    assert found is not None
    return ElementTree.fromstring(found[0])  # noqa: S314 - our own page


def test_tags_are_closed_in_order(page: Page) -> None:
    assert (page.wrong, page.open) == ([], [])


def test_a_tag_that_is_closed_in_the_wrong_order_is_found() -> None:
    assert Page("<p><b>x</p></b>").wrong == ["p", "b"]


def test_the_page_loads_nothing_and_runs_nothing(bad: Report) -> None:
    text = to_html(bad)
    loading = [a for _, attrs in Page(text).tags for a in attrs if a in ("src", "srcset", "href", "xlink:href")]
    assert loading == []
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    assert "script" not in {tag for tag, _ in Page(text).tags}
    assert "default-src 'none'" in text


def test_every_verdict_is_there_with_its_reason(bad: Report, page: Page) -> None:
    for verdict in bad.verdicts:
        assert verdict.gate in page.text
        assert verdict.because in page.text
    assert page.count("span", "badge") == len(bad.verdicts) + 1


def test_every_lost_duplicated_and_unexplained_request_is_named(bad: Report, page: Page) -> None:
    named = [*bad.named.lost, *bad.named.duplicated, *bad.named.unexplained, *bad.named.failed, *bad.named.unknown]
    assert len(named) == 15
    assert [each.id for each in named if each.id not in page.text] == []
    assert "switch gateway blue → green" in page.text


def test_a_page_of_a_run_that_went_well_accuses_nobody(good: Report) -> None:
    text = Page(to_html(good)).text
    assert "all 2 gates passed" in text
    assert "Requests that went wrong" not in text


def test_what_a_run_recorded_cannot_become_markup() -> None:
    run = verify_run(wrong=True)
    run.request(20.0, route=SCRIPT, state=FAILED, status=500, detail=SCRIPT, color=SCRIPT)
    run.span("phase", 3, 5, phase=SCRIPT)
    run.span("fault", 50, 51, fault=SCRIPT, target=SCRIPT)
    run.span("step", 50, 51, ok=False, op=SCRIPT, step=SCRIPT, version="v", error=SCRIPT)
    run.switch(50, SCRIPT, {SCRIPT: "blue"}, {SCRIPT: SCRIPT})
    run.point("note", 50, text=SCRIPT)
    run.load(0, 1, stream=SCRIPT)
    verdict = Verdict(gate=SCRIPT, outcome=Outcome.FAIL, because=SCRIPT, evidence={SCRIPT: SCRIPT})
    report = build_report(run.history(command=SCRIPT, stack=SCRIPT), [verdict])
    page = Page(to_html(report))
    assert page.count("script") == 0
    assert (page.wrong, page.open) == ([], [])
    assert page.text.count(SCRIPT) > 12
    picture(report)


def test_the_picture_has_each_lane_and_each_event(bad: Report) -> None:
    svg = picture(bad)
    lanes = [text.text for text in svg.iter("text") if text.get("class") == "lane"]
    assert lanes == ["Switches", "Phases", "Release", "Faults", "Requests", "p99"]
    titles = [title.text or "" for title in svg.iter("title")]
    assert sum("propagation 4.2 ms" in title for title in titles) == 1
    assert sum(title.startswith("kill engine-green#1: 1.30 s") for title in titles) == 1
    assert sum(title.startswith("release v2: ") for title in titles) == 1 + len(STEPS)
    assert sum(title.startswith("second ") for title in titles) == len(bad.series)
    marks = {title for title in titles if " in second " in title}
    assert {"1 lost in second 17", "1 lost in second 30", "1 unknown in second 31"} <= marks


def test_the_picture_lies_inside_of_its_frame(bad: Report) -> None:
    svg = picture(bad)
    width, height = (float(each) for each in svg.attrib["viewBox"].split()[2:])
    for box in svg.iter("rect"):
        if "x" in box.attrib:
            assert 0 <= float(box.attrib["x"]) <= float(box.attrib["x"]) + float(box.attrib["width"]) <= width
            assert 0 <= float(box.attrib["y"]) + float(box.attrib["height"]) <= height


def test_traffic_is_drawn_by_color_and_p99_against_its_limit(bad: Report) -> None:
    kinds = {path.get("class") for path in picture(bad).iter("path")}
    assert {"fill blue", "fill green", "fill failed", "fill unknown", "line", "limit"} <= kinds


def test_many_switches_become_ticks_that_hide_no_lane() -> None:
    run = RunOf()
    for k in range(100):
        run.switch(k, f"switch {k}", {"gateway": "blue"}, {"gateway": "green"})
    svg = picture(build_report(run.history(), []))
    assert sum("tick" in (group.get("class") or "") for group in svg.iter("g")) == 100
    assert "100 of them" in [text.text for text in svg.iter("text")]


def test_a_run_without_traffic_shows_its_steps_and_no_empty_table() -> None:
    run = RunOf()
    run.effects = None
    run.span("step", 0, 1, op="release v2", step="check-schema", version="v2")
    run.span("step", 1, None, op="release v2", step="expand", version="v2")
    page = Page(to_html(build_report(run.history(), [])))
    assert "Not in this run: load, switches, faults, phases." in page.text
    assert "cut off" in page.text
    assert "acknowledged" not in page.text.partition("holdfast.report/1")[0]


def test_an_empty_report_is_a_page() -> None:
    page = Page(to_html(build_report(RunOf().history(), [])))
    assert "nothing was judged" in page.text
    assert page.count("svg") == 0


def test_lost_is_not_claimed_to_be_zero_where_effects_were_not_read(good: Report) -> None:
    ledger = msgspec.structs.replace(good.ledger, complete=False)
    page = Page(to_html(msgspec.structs.replace(good, ledger=ledger)))
    assert "– lost – duplicated" in page.text
    assert "nothing lost" not in page.text
