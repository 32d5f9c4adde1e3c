"""Who may import whom: the contracts of pyproject.toml hold, and the reference services know nothing of holdfast."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from shape.tree import REPOSITORY, plant

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter in a tree, with the contracts of this repository."""
    return subprocess.run(
        [LINT_IMPORTS, "--config", REPOSITORY / "pyproject.toml", "--no-cache"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def imports_of(package: str, folder: Path) -> Iterator[str]:
    """`file:line` of each import of `package` in a folder's Python files."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            if any(name.split(".")[0] == package for name in names):
                yield f"{path.relative_to(folder)}:{getattr(node, 'lineno', 0)}"


def test_the_layers_hold() -> None:
    result = lint_imports(REPOSITORY)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("chaos", "load"),
        ("infra", "chaos"),
        ("load", "infra"),
        ("migrations", "pipelines"),
        ("verdict", "infra"),
        ("stranger", "verdict"),  # in no layer at all
    ],
)
def test_a_planted_import_against_the_layers_is_found(tmp_path: Path, importer: str, imported: str) -> None:
    tree = plant(
        tmp_path,
        {
            "holdfast/__init__.py": "",
            f"holdfast/{importer}/__init__.py": f"import holdfast.{imported}\n",
            f"holdfast/{imported}/__init__.py": "",
        },
    )
    result = lint_imports(tree)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"holdfast.{importer}" in result.stdout or importer in result.stdout


def test_the_services_import_nothing_of_holdfast_and_the_other_way_round() -> None:
    assert list(imports_of("holdfast", REPOSITORY / "infra" / "services")) == []
    assert list(imports_of("services", REPOSITORY / "holdfast")) == []


def test_a_planted_import_of_holdfast_in_a_service_is_found(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {"gateway/app.py": "import os\nfrom holdfast.verdict import Verdict\n", "b.py": "import holdfast.run\n"},
    )
    assert list(imports_of("holdfast", tmp_path)) == ["b.py:1", "gateway/app.py:2"]
