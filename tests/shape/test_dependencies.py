"""What the code imports is declared in pyproject.toml: nothing is there only because another package brings it."""

import ast
import importlib.metadata
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from shape.tree import REPOSITORY, files, plant

OURS = {"holdfast", "services"}


def declared(root: Path, *, dev: bool) -> set[str]:
    """Distributions that pyproject.toml names, what users' extras name, and what an extra brings (psycopg's pool)."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = [names for extra, names in project["optional-dependencies"].items() if dev or extra != "dev"]
    texts = [*project["dependencies"], *(text for names in extras for text in names)]
    return {name for requirement in map(Requirement, texts) for name in _names(requirement)}


def _names(requirement: Requirement) -> Iterator[str]:
    yield canonicalize_name(requirement.name)
    for extra in requirement.extras:
        for text in importlib.metadata.requires(requirement.name) or ():
            brought = Requirement(text)
            if brought.marker and brought.marker.evaluate({"extra": extra}) and "extra" in str(brought.marker):
                yield canonicalize_name(brought.name)


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level name of each absolute import in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


def undeclared(root: Path) -> Iterator[str]:
    """`file:line: name` of each import of an installed distribution that is not declared."""
    distributions = importlib.metadata.packages_distributions()
    runtime, all_of_them = declared(root, dev=False), declared(root, dev=True)
    for path in files(root):
        if path.suffix != ".py":
            continue
        inside = path.relative_to(root)
        allowed = all_of_them if inside.parts[0] in ("tests", "scripts") else runtime
        for line, name in imported(path):
            owners = {canonicalize_name(owner) for owner in distributions.get(name, ())}
            if owners and name not in OURS | sys.stdlib_module_names and not owners & allowed:
                yield f"{inside}:{line}: {name}"


def test_every_import_is_declared() -> None:
    assert list(undeclared(REPOSITORY)) == []


def test_planted_undeclared_imports_are_found(tmp_path: Path) -> None:
    texts = {
        "pyproject.toml": "[project]\ndependencies=['httpx','psycopg[pool]']\noptional-dependencies={dev=['pytest']}\n",
        "holdfast/a.py": "import os, httpx, psycopg_pool\nimport idna.core\nfrom pytest import raises\n",
        "tests/test_a.py": "import pytest\nimport infra\nfrom pluggy import hooks\n",
    }
    found = list(undeclared(plant(tmp_path, texts)))
    assert found == ["holdfast/a.py:2: idna", "holdfast/a.py:3: pytest", "tests/test_a.py:3: pluggy"]
