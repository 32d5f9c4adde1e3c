"""Which colors should exist: what a release has put where. The program registers it, a release decides it."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.infra.program.place import cluster_of
from holdfast.infra.stack import Color, Stack
from holdfast.infra.target import RouteTable


class ColorState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A color of a service: the release's version and image (empty: the plan's with {version}), size and config.

    `command`: the release's own; empty: the plan's. `digest` names the release for certain; empty: nobody released it.
    """

    version: str
    replicas: int
    image: str = ""
    config: dict[str, Any] = {}
    command: list[str] = []
    digest: str = ""


Colors = dict[str, dict[Color, ColorState]]
"""Service → color → what it runs."""


class Desired(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Service → color → state, and the route table in force when the edge is made for the first time."""

    colors: Colors = {}
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
    colors: Colors = {
        name: {"blue": ColorState(version=cluster.version, replicas=service.replicas)}
        for name, service in stack.services.items()
    }
    weights = {name: {"blue": 100} for name in stack.services}
    return Desired(colors=colors, table=RouteTable(weights=weights, serial=1))
