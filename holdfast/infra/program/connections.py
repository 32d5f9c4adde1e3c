"""How one part of a stack reaches another: addresses and URLs behind the names of links."""

from __future__ import annotations

import msgspec

from holdfast.errors import UsageError
from holdfast.infra.program import plans
from holdfast.infra.program.manifest import Sealed
from holdfast.infra.program.parts import PARTS
from holdfast.infra.program.place import Place, cluster_of
from holdfast.infra.stack import Stack

INTERNAL = 9001
"""The edge's first port for calls between services; the next service's is one higher."""


def part_url(name: str, part: plans.Part, place: Place) -> str | Sealed:
    """The URL of a part for its clients."""
    module = PARTS[type(part)][0]
    if not hasattr(module, "url"):
        raise UsageError(f"{name} has no URL", because="it is in the path of other links", way_out="name another part")
    found = module.url(name, part, place)
    return found if isinstance(found, Sealed) else str(found)


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """The links of a stack in one place."""

    stack: Stack
    place: Place

    def address(self, link: str) -> str:
        """host:port of a link's end. Calls between services go through the edge, where there is one."""
        end = self.stack.links[link].to
        cluster = cluster_of(self.stack)
        if end in cluster.parts:
            found = part_url(end, cluster.parts[end], self.place)
            return (found.form if isinstance(found, Sealed) else found).partition("://")[2].rpartition("@")[2]
        if end == "edge" or (cluster.edge and end in internal_ports(self.stack)):
            port = internal_ports(self.stack).get(end) or (cluster.edge.port if cluster.edge else 0)
            return f"{self.place.host('edge')}:{port}"
        return f"{self.place.host(end)}:{cluster.services[end].port}"

    def url(self, link: str) -> str | Sealed:
        """The URL of the part behind a link."""
        end = self.stack.links[link].to
        parts = cluster_of(self.stack).parts
        if end in parts:
            return part_url(end, parts[end], self.place)
        return f"http://{self.address(link)}"


def internal_ports(stack: Stack) -> dict[str, int]:
    """The edge's port for each service that others call."""
    return {name: INTERNAL + number for number, name in enumerate(stack.internal())}
