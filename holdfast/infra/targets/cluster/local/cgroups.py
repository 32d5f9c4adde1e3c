"""The cgroup below which all pods lie: made in every hierarchy (v1) or once (v2), removed after the last process."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from holdfast.children import poll
from holdfast.infra.targets.cluster.local.layout import CGROUP

ROOT = Path("/sys/fs/cgroup")


def hierarchies(root: Path = ROOT) -> list[Path]:
    """The mounted hierarchies: one (v2), or one a controller (v1; links such as cpu,cpuacct are not counted twice)."""
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())


def make(root: Path = ROOT) -> None:
    """Create the cgroup. The kubelet wants it in every hierarchy."""
    for hierarchy in hierarchies(root):
        group = hierarchy / CGROUP
        group.mkdir(exist_ok=True)
        if hierarchy == root:
            _delegate(hierarchy)
            _delegate(group)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if hierarchy != root and (hierarchy / name).exists():  # v1: empty until set, and then no process may enter
                (group / name).write_text((hierarchy / name).read_text())


def remove(root: Path = ROOT, *, timeout: float = 5.0) -> None:
    """Remove the cgroup and all below it; waits for the kernel to let the last processes go."""
    for _ in poll(time.monotonic() + timeout, every=0.05):
        for group in left(root):
            for folder, _, _ in os.walk(group, topdown=False):
                with suppress(OSError):
                    Path(folder).rmdir()
        if not left(root):
            return


def left(root: Path = ROOT) -> list[Path]:
    """What is there of it."""
    return [hierarchy / CGROUP for hierarchy in hierarchies(root) if (hierarchy / CGROUP).exists()]


def _delegate(group: Path) -> None:
    """v2: let children of this group have the controllers that pods are limited by."""
    for controller in ("cpu", "cpuset", "memory", "pids", "io", "hugetlb"):
        with suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
