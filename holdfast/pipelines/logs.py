"""The logs of a stack: files of its processes on this machine, or what its pods have said on a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Refused, UsageError
from holdfast.infra.home import Home, home_at
from holdfast.infra.targets.kept import where_of
from holdfast.pipelines.compose import find_stack
from holdfast.pipelines.targets import open_cluster

if TYPE_CHECKING:
    from holdfast.infra.targets.cluster.api import Api

AGAIN_S = 1.0
"""Between two looks at the pods' logs."""


def log_lines(home: str, process: str | None, lines: int) -> list[tuple[str, str]]:
    """The last lines of one log, or of all: (process or pod, line). On a cluster `process` may be a service or part."""
    at = home_at(home)
    if where_of(at, looking=True).target == "local":
        return _lines_here(at, process, lines)
    api = _api(at)
    return [(pod, line) for pod in _pods(api, process) for line in _said(api, pod, lines)]


def follow_log(home: str, process: str | None) -> Iterator[tuple[str, str]]:
    """Yield lines as they are written, until the caller stops."""
    at = home_at(home)
    return _follow_here(at, process) if where_of(at, looking=True).target == "local" else _follow_pods(at, process)


def _lines_here(home: Home, process: str | None, lines: int) -> list[tuple[str, str]]:
    found = []
    for path in _logs(home, process):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - lines * 500))
            tail = file.read().decode(errors="replace").splitlines()[-lines:]
        found += [(path.stem, line) for line in tail]
    return found


def _follow_here(home: Home, process: str | None) -> Iterator[tuple[str, str]]:
    files = {path: path.open("r", encoding="utf-8", errors="replace") for path in _logs(home, process)}
    for file in files.values():
        file.seek(0, 2)
    while True:
        for path, file in files.items():
            for line in file:
                yield path.stem, line.rstrip("\n")
        time.sleep(0.2)


def _logs(home: Home, process: str | None) -> list[Path]:
    folder = home.logs
    known = sorted(folder.glob("*.log")) if folder.exists() else []
    if process is None:
        if not known:
            raise Refused("there are no logs", because=f"nothing ran in {folder.parent} yet", way_out="holdfast up")
        return known
    found = [path for path in known if path.stem == process]
    if not found:
        raise UsageError(
            f"there is no log of {process}",
            because=f"known: {', '.join(path.stem for path in known) or 'none'}",
            way_out="name one of those",
        )
    return found


def _follow_pods(home: Home, process: str | None) -> Iterator[tuple[str, str]]:
    """What pods say from now on, those too that come later; each line once, by its time stamp."""
    api, began = _api(home), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    seen: dict[str, str] = {}
    while True:
        for pod in _pods(api, process):
            for line in _said(api, pod, since=seen.get(pod, began)):
                stamp, _, text = line.partition(" ")
                if stamp > seen.get(pod, began):
                    seen[pod] = stamp
                    yield pod, text
        time.sleep(AGAIN_S)


def _said(api: Api, pod: str, lines: int = 0, since: str = "") -> list[str]:
    """A pod's log; none of one that has not begun to run."""
    try:
        return api.log(pod, lines=lines, since=since).splitlines()
    except HoldfastError:
        return []


def _pods(api: Api, process: str | None) -> list[str]:
    """The pods of that name, or of a service or part of that name (or NAME-COLOR); all without a name."""
    known = sorted(str(pod["metadata"]["name"]) for pod in api.list("Pod"))
    found = [name for name in known if process is None or name == process or name.startswith(f"{process}-")]
    if not found:
        raise UsageError(
            f"there is no pod of {process}" if process else "there are no pods",
            because=f"known in {api.namespace}: {', '.join(known) or 'none'}",
            way_out="name one of those" if known else "holdfast up --target cluster",
        )
    return found


def _api(home: Home) -> Api:
    return open_cluster(find_stack(None, home), home, where_of(home, looking=True)).api
