"""The published schema is the types' own, and every report is valid against it."""

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from support.golden import assert_golden
from support.history import RunOf

from holdfast.report.build import build_report
from holdfast.report.model import Report
from holdfast.report.schema import PUBLISHED, schema_text


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(PUBLISHED.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def document(report: Report) -> dict[str, Any]:
    return dict(json.loads(msgspec.json.encode(report)))


def test_the_published_schema_is_current() -> None:
    assert_golden(PUBLISHED, schema_text())


def test_reports_are_valid(validator: jsonschema.Draft202012Validator, good: Report, bad: Report) -> None:
    for report in (good, bad, build_report(RunOf().history(), [])):
        validator.validate(document(report))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "holdfast.report/2"),
        (("outcome",), "maybe"),
        (("ledger", "lost"), "none"),
        (("release", "switches"), None),
        (("verdicts", 0, "outcome"), "skip"),
        (("series", 0, "p99_ms"), "fast"),
    ],
)
def test_a_document_that_breaks_the_schema_is_found(
    validator: jsonschema.Draft202012Validator, bad: Report, path: tuple[str | int, ...], value: object
) -> None:
    broken: Any = document(bad)
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert not validator.is_valid(broken)


def test_the_words_of_the_document_are_those_that_consumers_read(bad: Report) -> None:
    found = document(bad)
    assert found["schema"] == "holdfast.report/1"
    words = "offered acknowledged accepted failed unknown lost duplicated unexplained"
    assert set(words.split()) <= found["ledger"].keys()
    assert {"op", "at_s", "from", "to", "propagation_ms", "failed"} <= found["release"]["switches"][0].keys()
    assert {"gate", "outcome", "because", "evidence"} == found["verdicts"][0].keys()


def test_a_report_reads_back_as_it_was_written(bad: Report) -> None:
    assert msgspec.json.decode(msgspec.json.encode(bad), type=Report) == bad
