"""`.ci/run` and `scripts/check` fail when a part of them fails, and count what really ran."""

import subprocess
import sys
from pathlib import Path

import pytest
from shape.tree import REPOSITORY, plant

GREEN = '<testsuites><testsuite tests="2"><testcase name="a"/><testcase name="b"/></testsuite></testsuites>'
MIXED = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><skipped/></testcase>
<testcase name="d"/><testcase name="d"><error/></testcase></testsuite></testsuites>"""


def script(body: str) -> str:
    """A small program."""
    return f"#!/usr/bin/env bash\n{body}\n"


def ci_tree(
    root: Path, *, check: str = "exit 0", record: str = GREEN, test: str = "exit 0", verify: str = "exit 0"
) -> Path:
    """A checkout with the real .ci/run whose stages are planted."""
    plant(
        root,
        {
            ".ci/run": (REPOSITORY / ".ci/run").read_text(),
            "scripts/lib/junit_counts.py": (REPOSITORY / "scripts/lib/junit_counts.py").read_text(),
            "scripts/check": script(check),
            "scripts/test": script(f"cat >\"${{1#--junitxml=}}\" <<'END'\n{record}\nEND\n{test}"),
            "scripts/verify": script(f'[ "$*" = --short ] || exit 9\n{verify}'),
            ".venv/bin/holdfast": script("echo --short"),
            ".venv/bin/python": script(f'exec {sys.executable} "$@"'),
        },
    )
    for name in (
        ".ci/run",
        "scripts/check",
        "scripts/test",
        "scripts/verify",
        ".venv/bin/holdfast",
        ".venv/bin/python",
    ):
        (root / name).chmod(0o755)
    return root


def run(root: Path, name: str) -> tuple[int, list[str]]:
    """How a script ended, and the lines that it printed."""
    result = subprocess.run([root / name], capture_output=True, text=True, check=False, timeout=60)
    return result.returncode, result.stdout.splitlines()


def test_a_green_run_counts_its_tests_and_its_other_stages(tmp_path: Path) -> None:
    code, lines = run(ci_tree(tmp_path), ".ci/run")
    assert (code, lines[-1]) == (0, "4 passed, 0 failed")
    assert [line for line in lines if line.startswith("== ") and " ended 0 after " in line] != []


@pytest.mark.parametrize(
    ("planted", "last_line"),
    [
        ({"check": "exit 1"}, "3 passed, 1 failed"),
        ({"verify": "exit 3"}, "3 passed, 1 failed"),
        ({"record": MIXED, "test": "exit 1"}, "3 passed, 2 failed"),
        ({"test": "exit 3"}, "4 passed, 1 failed"),  # pytest itself broke, though no test failed
        ({"record": "", "test": "exit 4"}, "2 passed, 1 failed"),
        ({"record": ""}, "2 passed, 1 failed"),  # "green", but no record of any test
    ],
)
def test_a_planted_failure_of_a_stage_is_the_runs_failure(
    tmp_path: Path, planted: dict[str, str], last_line: str
) -> None:
    code, lines = run(ci_tree(tmp_path, **planted), ".ci/run")
    assert (code, lines[-1]) == (1, last_line)


@pytest.mark.parametrize("broken", ["", "ruff", "mypy", "lint-imports", "python", "gen"])
def test_check_runs_all_of_its_checks_and_fails_if_one_does(tmp_path: Path, broken: str) -> None:
    programs = ("ruff", "mypy", "lint-imports", "python")
    texts = {f"bin/{name}": script(f"exit {int(name == broken)}") for name in programs} | {
        "scripts/check": (REPOSITORY / "scripts/check").read_text(),
        "scripts/gen": script(f"exit {int(broken == 'gen')}"),
        "scripts/lib/setup.sh": f"root={tmp_path}; PATH={tmp_path}/bin:$PATH",
        "tests/shape/words.py": "",
    }
    plant(tmp_path, texts)
    for name in ("scripts/check", "scripts/gen", *(f"bin/{name}" for name in programs)):
        (tmp_path / name).chmod(0o755)
    code, lines = run(tmp_path, "scripts/check")
    assert code == int(bool(broken))
    assert [line.split()[0] for line in lines] == ["format", "lint", "types", "layers", "generated", "words"]
