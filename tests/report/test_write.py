"""The report beside its run: all four files, replaced whole, and an error that says what to do."""

import json
from pathlib import Path

import msgspec
import pytest
from support.history import RunOf

from holdfast.errors import EnvironmentFailed
from holdfast.report.build import build_report
from holdfast.report.model import Report
from holdfast.report.write import read_report, write_report

FILES = ["junit.xml", "report.html", "report.json", "report.md"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_views_are_written_and_the_page_is_returned(tmp_path: Path, bad: Report) -> None:
    page = write_report(tmp_path, bad)
    assert page == tmp_path / "report.html"
    assert names(tmp_path) == FILES
    assert json.loads((tmp_path / "report.json").read_text())["outcome"] == "fail"


def test_a_report_reads_back(tmp_path: Path, bad: Report) -> None:
    write_report(tmp_path, bad)
    assert read_report(tmp_path) == bad


def test_a_report_is_replaced_and_leaves_nothing_beside_it(tmp_path: Path, bad: Report, good: Report) -> None:
    write_report(tmp_path, bad)
    write_report(tmp_path, good)
    assert names(tmp_path) == FILES
    assert read_report(tmp_path) == good


def test_a_folder_that_is_gone_is_an_error_with_a_way_out(tmp_path: Path, good: Report) -> None:
    with pytest.raises(EnvironmentFailed, match="could not write") as raised:
        write_report(tmp_path / "gone", good)
    assert raised.value.way_out


def test_a_folder_without_a_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_report(tmp_path)
    (tmp_path / "report.json").write_bytes(msgspec.json.encode({"schema": "holdfast.report/2"}))
    with pytest.raises(msgspec.ValidationError):
        read_report(tmp_path)


def test_an_hour_of_traffic_is_a_page_that_a_browser_can_open(tmp_path: Path) -> None:
    run = RunOf()
    for k in range(36_000):
        run.request(k / 10, effect=False, route="whoami", color="blue")
    page = write_report(tmp_path, build_report(run.history(), []))
    assert page.stat().st_size < 200_000
