"""A throw-away stack for a bench: real stores, edge and services from a release, gone when the bench ends."""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from holdfast.children import identify, poll
from holdfast.errors import EnvironmentFailed
from holdfast.infra.home import home_at
from holdfast.infra.release import build_release, remove_releases
from holdfast.infra.stack import Color, load_stack
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.pipelines.compose import EffectSource, SchemaOf, find_stack
from holdfast.run import Run, open_run

STACK = "sparkle"


@dataclass
class Bench:
    """A stack that serves; blue is live when it begins."""

    target: LocalTarget

    def run(self, command: str) -> Run:
        """A new run of this stack, for requests of their own."""
        return open_run(self.target.home.runs, command=command, stack=STACK)

    def placed(self, color: Color) -> dict[str, Color]:
        """All services on one color."""
        return dict.fromkeys(self.target.stack.services, color)

    def record_effects(self, run: Run) -> None:
        """Read what the stack did for the requests of a run into the run."""
        effects = EffectSource(self.target.stack, self.target).read(f"{run.id}-")
        if effects is not None:
            run.record_effects(effects)

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time so far by kind of process: edge, gateway, engine, postgres, redis; user and system, children too.

        From /proc/PID/stat, in steps of 10 ms a process.
        """
        spent: dict[str, float] = defaultdict(float)
        for name, kept in self.target.units().items():
            if kept.identity is not None and kept.alive():
                spent[name.partition("-")[0]] += _cpu_of_tree(kept.identity.pid)
        return dict(spent)


@contextmanager
def throw_away(colors: Sequence[Color] = ("blue",)) -> Iterator[Bench]:
    """Start a stack whose colors all run one release; the supervisor ends it should this process die."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-", ignore_cleanup_errors=True) as folder:
        target = LocalTarget(load_stack(STACK), home_at(folder), owner=identify(os.getpid()))
        try:
            target.up()
            _release(target, colors)
            yield Bench(target)
        finally:
            target.down()
            remove_releases(target.home.releases)


def cpu_us_per(before: dict[str, float], after: dict[str, float], requests: int) -> dict[str, float]:
    """CPU time a request in µs, by kind of process."""
    return {name: round((after[name] - before.get(name, 0.0)) / max(requests, 1) * 1e6, 1) for name in sorted(after)}


def _release(target: LocalTarget, colors: Sequence[Color]) -> None:
    """Every color from one release, the schema as it wants it, the traffic on the first color."""
    file = find_stack(STACK, target.home)
    release = build_release("v1", file.folder(target.stack.services_from), target.home.releases)
    SchemaOf(file, target).expand(release.manifest.schema_range.newest)
    sizes = {name: service.replicas for name, service in target.stack.services.items()}
    for color in colors:
        placement: dict[str, Color] = dict.fromkeys(target.stack.services, color)
        target.start(release, placement, sizes)
        target.wait_ready(placement)
    target.route(RouteTable().moved(dict.fromkeys(target.stack.services, colors[0]), 1))
    _wait_for_answers(target, colors[0])


def _wait_for_answers(target: LocalTarget, color: str) -> None:
    for _ in poll(time.monotonic() + 10):
        if target.edge_color() == color:
            return
    raise EnvironmentFailed(f"the edge does not answer from {color}", because="10 s have passed")


def _cpu_of_tree(pid: int) -> float:
    """Own, children's and ended children's CPU seconds."""
    total = 0.0
    try:
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            spent = each.cpu_times()
            total += spent.user + spent.system
        ended = process.cpu_times()
        return total + ended.children_user + ended.children_system
    except psutil.NoSuchProcess:
        return total
