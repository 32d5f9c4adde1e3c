"""The stack `sparkle` on the test cluster, in a namespace of the test's own, with quick rules: like `support.stack`.

It is a throw-away stack: its namespace is named after the test's process and is gone afterwards.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
from support.stack import StackUnderTest, quick_stack, wait_until

from holdfast.infra.home import Home
from holdfast.infra.program.model import Autoscale
from holdfast.infra.program.place import cluster_of
from holdfast.infra.release import list_releases, remove_releases
from holdfast.infra.stack import COLORS, Color, Stack
from holdfast.infra.targets.cluster import pods
from holdfast.infra.targets.cluster.access import find_access
from holdfast.infra.targets.cluster.provision import ClusterProvision
from holdfast.infra.targets.cluster.target import ClusterTarget
from holdfast.infra.targets.cluster.throwaway import throwaway
from holdfast.infra.targets.kept import Where

WHERE = Where(target="cluster", environment="staging")
PRESTOP_S = 5


def quick_cluster_stack(
    replicas: int = 2,
    *,
    edges: int = 1,
    name: str = "",
    edge: bool = True,
    autoscale: Autoscale | None = None,
    **rules: Any,
) -> Stack:
    """Sparkle with what a release needs, small, quick to end. `name`: of a stack that another process made."""
    stack = quick_stack(replicas, **{"propagation_timeout_s": 10.0, **rules})
    stack = msgspec.structs.replace(throwaway(stack), **({"name": name} if name else {}))
    cluster = cluster_of(stack)
    plans = {
        service: msgspec.structs.replace(plan, prestop_s=PRESTOP_S, longest_s=5, autoscale=autoscale, start_s=45.0)
        for service, plan in cluster.services.items()
    }
    assert cluster.edge
    front = msgspec.structs.replace(cluster.edge, replicas=edges) if edge else None
    return msgspec.structs.replace(stack, cluster=msgspec.structs.replace(cluster, services=plans, edge=front))


def cluster_target(stack: Stack, home: Home, *, kubeconfig: str = "") -> ClusterTarget:
    """The target of such a stack; `kubeconfig`: another way to the same cluster."""
    access = find_access()
    if kubeconfig:
        access = msgspec.structs.replace(access, kubeconfig=kubeconfig)
    return ClusterTarget(stack, home, ClusterProvision(stack, home, WHERE, access))


class ClusterSparkle(StackUnderTest[ClusterTarget]):
    """The same words for a stack on the cluster."""

    def colors_there(self) -> dict[str, list[Color]]:
        """Which colors of each service have pods that stay."""
        found = {}
        for service in self.stack.services:
            of = {color: pods.of_color(self.target.api, self.target.place, service, color) for color in COLORS}
            found[service] = [color for color in COLORS if of[color]]
        return found

    def normal(self) -> dict[str, Any]:
        """What a test must leave as it found it."""
        operation, table = self.journal.open_operation(), self.target.live()
        return {
            "colors": self.colors_there(),
            "weights": table.weights,
            "preview": table.preview,
            "open": operation and operation.name,
            "drift": self.target.drift(),
            "noted": self.target.noted(),
        }

    def converged(self) -> None:
        """Assert: one live color a service, which answers and stays; nothing open but a hold; nothing runs in vain."""
        operation = self.journal.open_operation()
        assert operation is None or operation.paused_at == "hold", operation.lines[-3:]
        table = self.target.live()
        assert table.preview == {}
        for service in self.stack.services:
            assert sorted(table.weights[service].values()) == [100], table.weights
            color = cast(Color, table.live(service))
            assert self.target.held_until({service: color}) is None
            wait_until(partial(self._whole, service, color), f"{service} {color} is ready", 60)
            other = next(one for one in COLORS if one != color)
            if pods.of_color(self.target.api, self.target.place, service, other):
                held = self.target.held_until({service: other})
                assert held or operation, f"{service} {other} runs in vain"
        assert self.target.drift() == []
        served_by = self.chat().json()["served_by"]
        assert {name: who["color"] for name, who in served_by.items()} == self.live()

    def _whole(self, service: str, color: Color) -> bool:
        found = self.target.addresses({service: color})
        return len(found) == self.stack.services[service].replicas and all(
            httpx.get(f"{address.probe}/servingz", timeout=2).status_code == 200 for address in found
        )

    def close(self) -> None:
        """End the stack; nothing is left."""
        for run in self.runs:
            run.close()
        self.target.down()
        jobs = [] if not self.target.provision.exists() else self.target.api.list("Job")
        assert [job for job in jobs if job["metadata"]["name"].startswith("hold-")] == []


@contextmanager
def cluster_sparkle(folder: Path, releases: Path, *, stack: Stack | None = None) -> Iterator[ClusterSparkle]:
    """A stack that is up on the cluster, without a release; its releases have their images."""
    home = Home(folder / "home").make()
    shutil.rmtree(home.releases)
    shutil.copytree(releases, home.releases, copy_function=os.link)
    wanted = stack or quick_cluster_stack()
    target = cluster_target(wanted, home)
    found = ClusterSparkle(wanted, home, target)
    for release in list_releases(home.releases):
        target.prepare(release)
    try:
        target.up()
        yield found
    finally:
        found.close()
        remove_releases(home.releases)
