"""Puts the stand-in where Pulumi finds plugins: a folder for the front of PATH."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pulumi_kubernetes

NAME = "pulumi-resource-kubernetes"
TESTS = Path(__file__).resolve().parents[2]


def stand_in(folder: Path) -> Path:
    """Write the program into a folder; it runs this very Python. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / NAME
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{TESTS}" exec "{sys.executable}" -P -m support.pulumi_kubernetes.plugin "$@"\n'
    )
    program.chmod(0o755)
    return folder


def official(home: Path) -> Path | None:
    """The official plugin, where it was installed beforehand: in PULUMI_HOME, of the version that the package wants."""
    version = pulumi_kubernetes.__version__ if hasattr(pulumi_kubernetes, "__version__") else "4.32.0"
    found = home / "plugins" / f"resource-kubernetes-v{version}" / NAME
    return found if found.is_file() else None


def which(path: str) -> str:
    """The plugin that a PATH leads to, in words for a report."""
    found = shutil.which(NAME, path=path)
    if found is None:
        return "the official plugin, which Pulumi finds or downloads by itself"
    return (
        "the stand-in of the tests" if "support.pulumi_kubernetes" in Path(found).read_text(errors="replace") else found
    )
