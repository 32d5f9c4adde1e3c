"""The selectors of Services: the switch of a stack without an edge of its own. All or nothing, no shares.

The route table is written first, so that an operation that was cut off between two Services knows where it was going.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from holdfast.infra.edge.routes import COLOR_HEADER
from holdfast.infra.probes import http_get
from holdfast.infra.program.place import Place, cluster_of
from holdfast.infra.stack import COLORS, Stack
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.cluster import selectors, table
from holdfast.infra.targets.cluster.api import Api


@dataclass(frozen=True)
class Selectors:
    """The switch of a stack without an edge."""

    api: Api
    stack: Stack
    place: Place
    shares = False

    def write(self, routes: RouteTable) -> int:
        """Put a table in force: one guarded write a service, the users' own first. Returns when the first began.

        A kube-proxy takes the first change at once and others a second later: what users feel must not wait.
        """
        table.write(self.api, self.stack, self.place, routes)
        written = time.monotonic_ns()
        for service in self._users_first():
            selectors.lead(self.api, service, selectors.wanted(routes, service))
        return written

    def in_force(self, routes: RouteTable) -> bool:
        """Whether every Service has the selector of the table, and no other endpoints than those of its color."""
        return not selectors.drift(self.api, self.stack.services, routes) and all(
            selectors.settled(self.api, service, color) for service in routes.weights if (color := routes.live(service))
        )

    def unseen(self, service: str, color: str, hosts: Collection[str]) -> str:
        """Nothing: a Service that is led to a color finds its pods by itself."""
        return ""

    def drift(self) -> list[str]:
        """What somebody changed beside a release."""
        return selectors.drift(self.api, self.stack.services, table.read(self.api))

    def address(self) -> tuple[str, int]:
        """Where clients send requests: the Service of the stack's first service."""
        name = self.stack.edge.service
        return str(self.api.get("Service", name)["spec"]["clusterIP"]), cluster_of(self.stack).services[name].port

    def color(self) -> str:
        """The color that answers one request on a connection of its own, as the service says in a header.

        Of one that does not say, the endpoints tell which color it must have been.
        """
        service = self.stack.edge.service
        answer = http_get(*self.address(), self.stack.release.health.path)
        if not 0 < answer.status < 500:
            return ""
        if said := answer.headers.get(COLOR_HEADER):
            return said
        return next((color for color in COLORS if selectors.settled(self.api, service, color)), "")

    def preview(self, pod: str) -> str:
        """Where an idle color is reached: at a pod's own address."""
        return f"http://{pod}:{self.address()[1]}"

    def answers(self, service: str, color: str) -> tuple[int, int] | None:
        """Nobody counts them here."""
        return None

    def _users_first(self) -> list[str]:
        users = self.stack.edge.service
        return [users, *(name for name in self.stack.services if name != users)]
