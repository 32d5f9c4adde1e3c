"""Which colors should exist: what a release has put where. The program registers it, a release decides it."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.infra.program.place import cluster_of
from holdfast.infra.stack import Color, Stack
from holdfast.infra.target import RouteTable


class ColorState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A color of a service: the release's version and image (empty: the plan's with {version}), size and config."""

    version: str
    replicas: int
    image: str = ""
    config: dict[str, Any] = {}


class Desired(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Service → color → state, and the route table in force when the edge is made for the first time."""

    colors: dict[str, dict[Color, ColorState]] = {}
    table: RouteTable = RouteTable()

    def live(self, service: str) -> Color:
        """The color that a service's selector begins with."""
        found = self.table.live(service)
        return "green" if found == "green" else "blue"


def first(stack: Stack) -> Desired:
    """Where a stack begins: the version that its YAML names, in blue; no color at all where it names none."""
    cluster = cluster_of(stack)
    if not cluster.version:
        return Desired()
    colors: dict[str, dict[Color, ColorState]] = {
        name: {"blue": ColorState(version=cluster.version, replicas=service.replicas)}
        for name, service in stack.services.items()
    }
    weights = {name: {"blue": 100} for name in stack.services}
    return Desired(colors=colors, table=RouteTable(weights=weights, serial=1))
