"""Prints `PASSED FAILED`, counted from a JUnit record of pytest; without a readable record `0 1`."""

import sys
from pathlib import Path
from xml.etree import ElementTree


def counts(record: Path) -> tuple[int, int]:
    """Test cases that passed, and that failed or broke in set-up or clean-up; skipped ones are neither."""
    cases: dict[tuple[str, str], set[str]] = {}
    try:
        for case in ElementTree.parse(record).iter("testcase"):  # noqa: S314 - our own pytest wrote it
            marks = cases.setdefault((case.get("classname", ""), case.get("name", "")), set())
            marks.update(child.tag for child in case)
    except (OSError, ElementTree.ParseError):
        return 0, 1
    failed = sum(bool(marks & {"failure", "error"}) for marks in cases.values())
    skipped = sum("skipped" in marks and not marks & {"failure", "error"} for marks in cases.values())
    return len(cases) - failed - skipped, failed


if __name__ == "__main__":
    print(*counts(Path(sys.argv[1])))
