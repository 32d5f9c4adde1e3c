"""One version: the top of CHANGELOG.md, pyproject.toml, the package, and what is installed say the same."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

from shape.tree import REPOSITORY, plant


def versions(root: Path) -> dict[str, str]:
    """Where -> the version that it says."""
    top = re.search(r"^## (\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    package = re.search(r'^__version__ = "(.+)"', (root / "holdfast" / "__init__.py").read_text(), re.MULTILINE)
    return {
        "CHANGELOG.md": top.group(1) if top else "none",
        "pyproject.toml": tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"],
        "holdfast": package.group(1) if package else "none",
    }


def test_there_is_one_version() -> None:
    assert set(versions(REPOSITORY).values()) == {importlib.metadata.version("holdfast")}


def test_a_planted_forgotten_version_is_found(tmp_path: Path) -> None:
    texts = {
        "CHANGELOG.md": "# Changelog\n\n## 0.2.0\n\n## 0.1.0\n",
        "pyproject.toml": '[project]\nversion = "0.2.0"\n',
        "holdfast/__init__.py": '__version__ = "0.1.0"\n',
    }
    assert versions(plant(tmp_path, texts)) == {"CHANGELOG.md": "0.2.0", "pyproject.toml": "0.2.0", "holdfast": "0.1.0"}
