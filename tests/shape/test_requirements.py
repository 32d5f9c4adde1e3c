"""docs/requirements.md: no id is gone, each has a state, and the tests that are said to prove one exist."""

import re
from collections.abc import Iterator
from pathlib import Path

from shape.tree import REPOSITORY, plant

FAMILIES = {"CD": 11, "CH": 18, "LD": 11, "MG": 7, "FO": 6, "OB": 5, "SE": 4}
IDS = {f"{family}-{number}" for family, count in FAMILIES.items() for number in range(1, count + 1)} | {
    f"ST-{stack}" for stack in ("SPARKLE", "AGNO", "MACJARVIS", "SAGE")
}
ROW = re.compile(r"^\| ([A-Z]{2}-[A-Z0-9]+) \| (.+) \| (.+) \|$", re.MULTILINE)
STATE = re.compile(r"open|part: \S.+|proven by (?P<tests>\S+(?:, \S+)*)")


def violations(root: Path) -> Iterator[str]:
    """Ids that are missing, twice or unknown; states that are none of the three; named tests that do not exist."""
    rows = ROW.findall((root / "docs" / "requirements.md").read_text(encoding="utf-8"))
    listed = [identifier for identifier, _, _ in rows]
    yield from (f"{identifier} is missing" for identifier in sorted(IDS - set(listed)))
    yield from (f"{identifier} is not an id" for identifier in sorted(set(listed) - IDS))
    yield from (f"{identifier} is listed twice" for identifier in sorted({i for i in listed if listed.count(i) > 1}))
    for identifier, _, state in rows:
        match = STATE.fullmatch(state)
        if not match:
            yield f'{identifier}: "{state}" is not a state'
        elif match["tests"]:
            yield from (
                f"{identifier}: there is no {test}" for test in match["tests"].split(", ") if not _exists(root, test)
            )


def _exists(root: Path, test: str) -> bool:
    path, _, name = test.strip("`").partition("::")
    file = root / path
    return (
        path.startswith("tests/")
        and file.is_file()
        and bool(re.search(rf"^\s*(async )?def {name}\(", file.read_text(), re.MULTILINE))
    )


def test_each_requirement_has_a_state_and_its_tests_exist() -> None:
    assert list(violations(REPOSITORY)) == []


def test_planted_faults_in_the_list_are_found(tmp_path: Path) -> None:
    states = dict.fromkeys(sorted(IDS - {"CD-1"}), "open") | {
        "CD-2": "proven by `tests/a/test_a.py::test_it`, `tests/a/test_a.py::test_gone`",
        "CD-3": "proven by tests/b.py::test_it",
        "CD-4": "done",
        "CD-5": "part:",
        "CD-6": "part: regions",
        "CD-99": "open",
    }
    text = "".join(f"| {identifier} | what | {state} |\n" for identifier, state in states.items())
    plant(
        tmp_path,
        {"docs/requirements.md": text + "| SE-1 | what | open |\n", "tests/a/test_a.py": "def test_it() -> None: ..."},
    )
    assert list(violations(tmp_path)) == [
        "CD-1 is missing",
        "CD-99 is not an id",
        "SE-1 is listed twice",
        "CD-2: there is no `tests/a/test_a.py::test_gone`",
        "CD-3: there is no tests/b.py::test_it",
        'CD-4: "done" is not a state',
        'CD-5: "part:" is not a state',
    ]
