"""The scripts: they set up from nothing or say the way out, cost nothing once set up, and refuse unknown names."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from shape.tree import REPOSITORY, files, plant

PLAIN_TOOLS = (
    "awk",
    "bash",
    "cat",
    "cut",
    "dirname",
    "env",
    "flock",
    "getent",
    "grep",
    "id",
    "ls",
    "mkdir",
    "sed",
    "sha256sum",
)


def run(root: Path, script: str, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script of a checkout and return what it said."""
    return subprocess.run(
        [str(root / script), *args],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def checkout(destination: Path) -> Path:
    """A copy of the working tree, without what is ignored."""
    for path in files(REPOSITORY):
        copy = destination / path.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return destination


def python_that_says(folder: Path, *names: str, supported: bool) -> Path:
    """A folder with Pythons: this one, or some that are too new (any question about their version fails)."""
    folder.mkdir()
    for name in names:
        if supported:
            (folder / name).symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
        else:
            (folder / name).write_text("#!/bin/sh\nexit 1\n")
            (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("script", "known"), [("test", "crash faults cluster"), ("bench", "tests/bench"), ("tools", "toxiproxy")]
)
def test_an_unknown_name_is_a_usage_error_that_lists_the_known_ones(script: str, known: str) -> None:
    result = run(REPOSITORY, f"scripts/{script}", "no-such-name")
    assert result.returncode == 2
    assert 'no-such-name"' in result.stderr
    assert known in result.stderr
    assert "way out: scripts/" in result.stderr


def test_a_checkout_that_is_set_up_starts_at_once() -> None:
    def seconds() -> float:
        begin = time.perf_counter()
        assert run(REPOSITORY, "scripts/tools").stderr == ""
        return time.perf_counter() - begin

    run(REPOSITORY, "scripts/tools")
    assert min(seconds() for _ in range(3)) < 0.3


def test_without_a_supported_python_the_set_up_says_the_way_out(tmp_path: Path) -> None:
    texts = {
        name: (REPOSITORY / name).read_text()
        for name in ("requirements.lock", "pyproject.toml", "scripts/lib/setup.sh", "scripts/bench")
    }
    root = plant(tmp_path / "checkout", texts)
    (root / "scripts/bench").chmod(0o755)
    path = python_that_says(tmp_path / "bin", "python3", "python3.12", supported=False)
    for tool in PLAIN_TOOLS:
        (path / tool).symlink_to(str(shutil.which(tool)))
    result = run(root, "scripts/bench", env={"PATH": str(path), "HOME": str(tmp_path)})
    assert result.returncode == 4
    assert result.stdout == ""
    assert "because: no Python 3.11 or 3.12" in result.stderr
    assert "way out: install one" in result.stderr


@pytest.mark.slow
def test_two_first_calls_set_up_once_from_nothing_with_the_first_python_that_is_supported(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout")
    too_new = python_that_says(tmp_path / "new", "python3", supported=False)
    supported = python_that_says(tmp_path / "old", f"python3.{sys.version_info.minor}", supported=True)
    (tmp_path / "home").mkdir()
    caches = {"UV_CACHE_DIR": uv_cache(), "HOME": str(tmp_path / "home")}
    path = f"{too_new}:{supported}:/usr/bin:/bin"
    env = (
        {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
        | caches
        | {"PATH": path}
    )
    calls = [
        subprocess.Popen([root / "scripts/bench"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [call.communicate(timeout=170)[1] for call in calls]
    assert [call.returncode for call in calls] == [0, 0], said
    assert sorted(text.count("setting up") for text in said) == [0, 1]
    where = "import holdfast, sys; print(holdfast.__file__, sys.version_info[1])"
    imported = subprocess.run(
        [root / ".venv/bin/python", "-P", "-c", where], capture_output=True, text=True, check=True, cwd="/"
    )
    assert imported.stdout.split() == [str(root / "holdfast/__init__.py"), str(sys.version_info.minor)]


def uv_cache() -> str:
    """Where uv keeps what this environment was installed from, so that the test downloads nothing twice."""
    uv = Path(sys.executable).with_name("uv")
    return subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
