"""Whatever could run in a release counts: caches of Python, and links to elsewhere."""

from __future__ import annotations

import py_compile
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.stack import refusal

from holdfast.infra.release import Release, build_release, check_release

HONEST = "print('honest')\n"


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A release of one module, that may be written to."""
    source = tmp_path / "source"
    source.mkdir()
    recipe = 'schema: {oldest: "1", newest: "2"}\nservices: {web: {command: ["{python}", "-m", "web"]}}\n'
    (source / "release.yaml").write_text(recipe)
    (source / "web.py").write_text(HONEST)
    found = build_release("v1", source, tmp_path / "releases")
    (Path(found.path) / "services").chmod(0o755)
    return found


def _plant_cache(services: Path, elsewhere: Path) -> str:
    """A cache of other code, which Python takes for the module's own: it asks for no hash of the source."""
    other = elsewhere / "web.py"
    other.write_text("print('planted')\n")
    cache = services / "__pycache__" / f"web.{sys.implementation.cache_tag}.pyc"
    cache.parent.mkdir()
    py_compile.compile(str(other), str(cache), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    argv = [sys.executable, "-c", "import web"]
    assert subprocess.run(argv, cwd=services, capture_output=True, text=True, check=True).stdout == "planted\n"
    return f"services/__pycache__/{cache.name} was added after the build"


def _link_a_folder(services: Path, elsewhere: Path) -> str:
    (elsewhere / "more").mkdir()
    (services / "more").symlink_to(elsewhere / "more")
    return "services/more was added after the build"


def _link_the_same_content(services: Path, elsewhere: Path) -> str:
    (elsewhere / "web.py").write_text(HONEST)
    (services / "web.py").unlink()
    (services / "web.py").symlink_to(elsewhere / "web.py")
    return "services/web.py was changed after the build"


@pytest.mark.parametrize("plant", [_plant_cache, _link_a_folder, _link_the_same_content])
def test_nothing_can_be_planted_beside_what_was_built(
    release: Release, tmp_path: Path, plant: Callable[[Path, Path], str]
) -> None:
    check_release(release)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    because = plant(Path(release.path) / "services", elsewhere)
    assert refusal(lambda: check_release(release)).because == because
