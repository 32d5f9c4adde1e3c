"""Puts the stand-in where Pulumi finds plugins: a folder for the front of PATH.

As a program it is `scripts/cluster up` in a checkout: the cluster, and the stand-in beside its kubeconfig.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from holdfast.infra.targets.cluster.access import ABOUT, PROGRAM, official_plugin, own_is_up, plugins_beside
from holdfast.infra.targets.cluster.local import __main__ as cluster
from holdfast.infra.targets.cluster.local.layout import default_layout

STAND_IN = "the stand-in of the tests"
TESTS = Path(__file__).resolve().parents[2]


def stand_in(folder: Path) -> Path:
    """Write the program into a folder; it runs this very Python. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / PROGRAM
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{TESTS}" exec "{sys.executable}" -P -m support.pulumi_kubernetes.plugin "$@"\n'
    )
    program.chmod(0o755)
    (folder / ABOUT).write_text(f"{STAND_IN}\n")
    return folder


def which(path: str) -> str:
    """The plugin that a PATH leads to, in words for a report."""
    found = shutil.which(PROGRAM, path=path)
    if found is None:
        return "the official plugin, which Pulumi finds or downloads by itself"
    return STAND_IN if "support.pulumi_kubernetes" in Path(found).read_text(errors="replace") else found


def main() -> int:
    """`scripts/cluster up`; where the official plugin is not installed, the stand-in goes beside our own cluster."""
    code, layout = cluster.main(), default_layout()
    asked_for_help = {"-h", "--help"} & set(sys.argv)
    if code == 0 and not asked_for_help and own_is_up(layout) and official_plugin() is None:
        folder = stand_in(plugins_beside(layout))
        cluster.say(f"Pulumi's Kubernetes plugin is not installed: {STAND_IN} is used on this cluster ({folder})")
    return code


if __name__ == "__main__":
    sys.exit(main())
