"""End the cluster, and look whether anything of it is left."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

from holdfast.children import poll
from holdfast.errors import EnvironmentFailed
from holdfast.infra.targets.cluster.local import cgroups, network, state
from holdfast.infra.targets.cluster.local.layout import LINK, TAG, Layout
from holdfast.infra.targets.cluster.local.namespaces import run_on_host

END_TIMEOUT = 20.0


def down(layout: Layout) -> bool:
    """End it. True when there was one. Raises EnvironmentFailed that names what is left, if anything is."""
    there = bool(left(layout)) or layout.root.exists()
    end(layout)
    for _ in poll(time.monotonic() + END_TIMEOUT, every=0.05):
        if not left(layout):
            return there
    raise EnvironmentFailed(
        "the cluster did not end whole", because="; ".join(left(layout)), way_out="run scripts/cluster down again"
    )


def end(layout: Layout, *, keep_logs: bool = False) -> None:
    """Kill the first process: the kernel ends the others, and unmounts; then remove what lies outside."""
    current = state.load(layout)
    for identity in [*([current.init] if current else []), *state.processes(layout)]:
        identity.send(signal.SIGKILL)
        if not identity.wait(END_TIMEOUT):
            raise EnvironmentFailed(
                f"process {identity.pid} of the cluster does not end",
                because="it waits in the kernel, as for a disk that does not answer",
                way_out="run scripts/cluster down again when it is gone",
            )
    owner = link_owner()
    if owner == network.alias(layout.root):
        subprocess.run(network.DELETE_LINK, capture_output=True, check=False)
    if owner in (None, network.alias(layout.root)):
        cgroups.remove()
    remove_files(layout, keep_logs=keep_logs)


def remove_files(layout: Layout, *, keep_logs: bool) -> None:
    """The state folder, or all of it but the logs, which tell why a start failed."""
    if not layout.root.exists():
        return
    kept = {layout.logs} if keep_logs else set()
    for path in layout.root.iterdir():
        if path in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not keep_logs:
        layout.root.rmdir()


def left(layout: Layout) -> list[str]:
    """What is left of a cluster on this machine, in words: processes, mounts, cgroups, the link."""
    found = [f"process {identity.pid} ({TAG})" for identity in state.processes(layout)]
    found += [f"mount {mount}" for mount in mounts(Path("/proc/self/mountinfo").read_text(), layout)]
    owner = link_owner()
    if owner is None or owner == network.alias(layout.root):  # else the cgroups are another cluster's
        found += [f"cgroup {group}" for group in cgroups.left()]
    return found + ([f"link {LINK}"] if owner == network.alias(layout.root) else [])


def mounts(mountinfo: str, layout: Layout) -> list[str]:
    """Mount points below the state folder (fields of proc(5), /proc/PID/mountinfo)."""
    points = [line.split()[4] for line in mountinfo.splitlines() if line]
    return [point for point in points if point == str(layout.root) or point.startswith(f"{layout.root}/")]


def link_owner() -> str | None:
    """Whose the machine's link is; None when there is none."""
    return network.link_owner(run_on_host(network.LIST_LINKS))
