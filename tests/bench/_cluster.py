"""A throw-away stack on a cluster for a bench: a namespace of this process's own, gone when the bench ends."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import msgspec
from bench._result import tell

from holdfast.children import poll
from holdfast.errors import EnvironmentFailed
from holdfast.infra.home import Home, home_at
from holdfast.infra.program.place import cluster_of
from holdfast.infra.release import build_release, remove_releases
from holdfast.infra.stack import Color, Stack
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.cluster import images
from holdfast.infra.targets.cluster.access import find_access
from holdfast.infra.targets.cluster.target import ClusterTarget
from holdfast.infra.targets.cluster.throwaway import sweep, throwaway
from holdfast.infra.targets.kept import Where
from holdfast.pipelines.compose import EffectSource, SchemaOf, StackFile, find_stack
from holdfast.pipelines.targets import open_cluster
from holdfast.run import Run, open_run

STACK = "sparkle"
COLORS: tuple[Color, Color] = ("blue", "green")
Kind = Literal["edge", "selector"]
"""Which switch: the edge's own weights, or the selectors of the Services (then there is no edge)."""


@dataclass
class ClusterBench:
    """A stack that serves, both colors of one release; blue is live when it begins."""

    kind: Kind
    target: ClusterTarget
    home: Home
    plugin: str

    def run(self, command: str) -> Run:
        """A new run of this stack, for requests of their own."""
        return open_run(self.home.runs, command=command, stack=STACK)

    def placed(self, color: Color) -> dict[str, Color]:
        """All services on one color."""
        return dict.fromkeys(self.target.stack.services, color)

    def record_effects(self, run: Run) -> None:
        """Read what the stack did for the requests of a run into the run."""
        effects = EffectSource(self.target.stack, self.target).read(f"{run.id}-")
        if effects is not None:
            run.record_effects(effects)

    def wait_in_force(self, table: RouteTable, seconds: float) -> None:
        """Wait until a table is in force everywhere. Raises EnvironmentFailed."""
        for _ in poll(time.monotonic() + seconds, every=0.1):
            if self.target.in_force(table):
                return
        raise EnvironmentFailed(f"a route table was not in force within {seconds:g} s", because=str(table.weights))


@contextmanager
def throw_away_on_cluster(kind: Kind) -> Iterator[ClusterBench]:
    """Bring the stack up in a namespace of its own, with this kind of switch; take it away afterwards."""
    access = find_access()
    sweep(access)
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-", ignore_cleanup_errors=True) as folder:
        home = home_at(folder).make()
        file = find_stack(STACK, home)
        stack = _bare(file.read(), kind)
        target = open_cluster(file, home, Where(target="cluster", environment="staging"), stack=stack)
        bench = ClusterBench(kind, target, home, access.plugin)
        try:
            _bring_up(bench, file)
            yield bench
        finally:
            tell(f"{kind}: the stack is taken away")
            target.down()
            remove_releases(home.releases)


def _bare(stack: Stack, kind: Kind) -> Stack:
    """The stack as a throw-away one, without autoscalers and replicas of stores; without an edge for selectors."""
    bare = throwaway(stack)
    cluster = cluster_of(bare)
    services = {name: msgspec.structs.replace(plan, autoscale=None) for name, plan in cluster.services.items()}
    parts = dict(cluster.parts)
    parts["postgres"] = msgspec.structs.replace(parts["postgres"], replicas=0, backup=None)
    edge = cluster.edge if kind == "edge" else None
    return msgspec.structs.replace(
        bare, cluster=msgspec.structs.replace(cluster, services=services, parts=parts, edge=edge)
    )


def _bring_up(bench: ClusterBench, file: StackFile) -> None:
    """Image, stores and edge, the schema as the release wants it, both colors, the traffic on blue."""
    target = bench.target
    release = build_release("v1", file.folder(target.stack.services_from), bench.home.releases)
    tell(f"{bench.kind}: the image is built, the stack brought up; Pulumi runs {bench.plugin}")
    images.build(bench.home, release, tell)
    target.up()
    SchemaOf(file, target).expand(release.manifest.schema_range.newest)
    sizes = {name: service.replicas for name, service in target.stack.services.items()}
    for color in COLORS:
        target.start(release, bench.placed(color), sizes)
    for color in COLORS:
        target.wait_ready(bench.placed(color))
    table = RouteTable().moved(bench.placed("blue"), 1)
    target.route(table)
    bench.wait_in_force(table, 30)
    for _ in poll(time.monotonic() + 15):
        if target.edge_color() == "blue":
            return
    raise EnvironmentFailed(f"{target.edge_url()} does not answer from blue", because="15 s have passed")
