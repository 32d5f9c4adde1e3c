"""The edge's own weights: Envoy's pods take the route table from a ConfigMap, all services and weights by one write.

A kubelet brings a changed ConfigMap into a pod when it next looks after the pod, which may take a minute. A change of
the pod itself, here an annotation, makes it look at once. A kubelet that looks before it has heard of the new ConfigMap
is woken again.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from holdfast.infra.edge.routes import cluster_name
from holdfast.infra.probes import edge_color, http_get
from holdfast.infra.program.edge import ADMIN, NAME
from holdfast.infra.program.place import Place, cluster_of
from holdfast.infra.stack import Stack
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.cluster import pods, selectors, table
from holdfast.infra.targets.cluster.api import Api, NotFound, Object

WOKEN = "holdfast/routes"
"""Annotation of the edge's pods: the serial of the table that they were told to take, and when."""
AGAIN_S = 0.25


@dataclass
class EdgeWeights:
    """The switch of a stack with an edge."""

    api: Api
    stack: Stack
    place: Place
    shares = True
    woken: float = 0.0
    """When the kubelets were last woken, by the monotonic clock."""

    def write(self, routes: RouteTable) -> int:
        """Put a table in force; the Services' selectors follow it. Returns the instant (ns, monotonic) of the write."""
        written = table.write(self.api, self.stack, self.place, routes)
        self._wake(routes)
        for service in routes.weights:
            selectors.lead(self.api, service, selectors.wanted(routes, service))
        return written

    def in_force(self, routes: RouteTable) -> bool:
        """Ask every Envoy which version of the routes it has taken. One that was not there at the write is woken."""
        edges = self._edges()
        late = [pod for pod in edges if pods.is_running(pod) and not _has_taken(pod, routes)]
        if late and time.monotonic() - self.woken > AGAIN_S:
            self._wake(routes)
        return bool(edges) and not late

    def unseen(self, service: str, color: str, hosts: Collection[str]) -> str:
        """Why the edge does not yet lead to exactly the pods of a color; empty when each Envoy knows these addresses.

        It finds them by DNS, whose answers are kept for seconds, also the answer that there are none.
        """
        for pod in filter(pods.is_running, self._edges()):
            answer = http_get(pods.address(pod), ADMIN, "/clusters")
            known = _hosts(answer.body, cluster_name(service, color))
            if known != set(hosts):
                return f"{pods.name(pod)} knows {sorted(known) or 'none'} of its pods, which are at {sorted(hosts)}"
        return ""

    def drift(self) -> list[str]:
        """What somebody changed beside a release."""
        routes = table.read(self.api)
        return [
            *table.drift(self.api, self.stack),
            *selectors.drift(self.api, self.stack.services, routes),
        ]

    def address(self) -> tuple[str, int]:
        """Where clients send requests: the Service `edge`."""
        found = self.api.get("Service", NAME)
        ingress = (found.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}])[0]
        host = ingress.get("ip") or ingress.get("hostname") or found["spec"]["clusterIP"]
        edge = cluster_of(self.stack).edge
        return str(host), edge.port if edge else 0

    def color(self) -> str:
        """The color that answers one request on a connection of its own."""
        return edge_color(*self.address(), self.stack.release.health.path)

    def preview(self, pod: str) -> str:
        """Where an idle color is reached: at the edge, by the preview header."""
        host, port = self.address()
        return f"http://{host}:{port}"

    def answers(self, service: str, color: str) -> tuple[int, int] | None:
        """How many answers the Envoys have counted for a color since they started: all, and those with a 5xx status."""
        prefix = f"cluster.{cluster_name(service, color)}.upstream_rq_"
        total = errors = 0
        for pod in self._edges():
            answer = http_get(pods.address(pod), ADMIN, f"/stats?filter=^{prefix}")
            counted = dict(line.split(": ", 1) for line in answer.body.splitlines() if ": " in line)
            total += int(counted.get(f"{prefix}completed", 0))
            errors += int(counted.get(f"{prefix}5xx", 0))
        return total, errors

    def _edges(self) -> list[Object]:
        found = self.api.list("Pod", {**self.place.selector(NAME), "holdfast/role": "edge"})
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"] and not pods.ended(pod)]

    def _wake(self, routes: RouteTable) -> None:
        """Have each edge's kubelet look at its pod now."""
        self.woken = time.monotonic()
        mark = {"metadata": {"annotations": {WOKEN: f"{routes.serial} {self.woken:.3f}"}}}

        def wake(pod: Object) -> None:
            with suppress(NotFound):
                self.api.patch("Pod", pods.name(pod), mark)

        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(wake, self._edges()))


def _has_taken(pod: Object, routes: RouteTable) -> bool:
    answer = http_get(pods.address(pod), ADMIN, "/stats?filter=rds.*version_text")
    return f'rds.holdfast.version_text: "{routes.serial}"' in answer.body


def _hosts(said: str, cluster: str) -> set[str]:
    """The addresses of a cluster, from Envoy's text about all of them: `NAME::HOST:PORT::what::value`, IPv4."""
    lines = (line.split("::") for line in said.splitlines() if line.startswith(f"{cluster}::"))
    return {parts[1].rpartition(":")[0] for parts in lines if ":" in parts[1]}
