"""Sparkle behind a Gateway: without an edge of its own, its users come in by an HTTPRoute."""

from __future__ import annotations

import msgspec

from holdfast.infra.program.place import cluster_of
from holdfast.infra.stack import Stack, load_stack


def behind_gateway(gateway: str = "front/gate", *, name: str = "sparkle") -> Stack:
    """Sparkle with the switch `gateway-api`; `name`: of the stack, by which its namespace is named."""
    stack = load_stack("sparkle")
    cluster = msgspec.structs.replace(cluster_of(stack), edge=None, switch="gateway-api", gateway=gateway)
    return msgspec.structs.replace(stack, name=name, cluster=cluster)
