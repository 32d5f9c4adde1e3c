"""Every module of holdfast can be imported, and has what its `__all__` promises."""

import subprocess
import sys
from pathlib import Path

from shape.tree import REPOSITORY, plant

# Runs in a child: importing everything must not mark the process in which the other tests run.
IMPORT_ALL = """
import importlib, pkgutil, sys
import holdfast
problems = []
for found in pkgutil.walk_packages(holdfast.__path__, "holdfast.", onerror=lambda name: None):
    if found.name.endswith("__main__") or "._content" in found.name:
        continue
    try:
        module = importlib.import_module(found.name)
    except Exception as error:
        problems.append(f"{found.name}: {error!r}")
        continue
    problems += [f"{found.name}: no {name}" for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
print(*problems, sep="\\n")
"""


def problems(root: Path) -> list[str]:
    """Modules under root/holdfast that cannot be imported, and names in `__all__` that do not exist."""
    result = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(root)!r}){IMPORT_ALL}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [line for line in result.stdout.splitlines() if line]


def test_every_module_imports_and_has_what_it_exports() -> None:
    assert problems(REPOSITORY) == []


def test_planted_broken_modules_are_found(tmp_path: Path) -> None:
    texts = {"__init__": "", "a": "__all__ = ['missing', 'here']\nhere = 1\n", "b": "import no_such_module\n", "c": ""}
    plant(tmp_path, {f"holdfast/{name}.py": text for name, text in texts.items()})
    assert [line.split(":")[0] for line in problems(tmp_path)] == ["holdfast.a", "holdfast.b"]
