"""No module of holdfast has the name of a dependency or of the standard library; its four packages' names are ours."""

import importlib.metadata
import sys
from collections.abc import Collection
from pathlib import Path

from shape.tree import REPOSITORY, plant


def module_names(root: Path) -> set[str]:
    """The modules and packages directly under holdfast/."""
    return {path.stem for path in (root / "holdfast").iterdir() if path.suffix == ".py" or path.is_dir()} - {
        "__pycache__"
    }


def taken_names(root: Path, foreign: Collection[str]) -> set[str]:
    """Our module names that the standard library or an installed distribution also has."""
    return {name for name in module_names(root) if not name.startswith("_")} & (sys.stdlib_module_names | set(foreign))


def installed_names() -> set[str]:
    """Top-level import names of everything that is installed, but holdfast itself."""
    return set(importlib.metadata.packages_distributions()) - {"holdfast"}


def test_no_module_is_named_as_a_dependency_or_the_standard_library() -> None:
    assert taken_names(REPOSITORY, installed_names()) == set()


def test_planted_modules_named_as_others_are_found(tmp_path: Path) -> None:
    tree = plant(tmp_path, {"holdfast/queue.py": "", "holdfast/redis/__init__.py": "", "holdfast/verdict.py": ""})
    assert taken_names(tree, installed_names()) == {"queue", "redis"}
