"""The network: one link between the host and the node, and routes to pods and Services over it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable

from holdfast.errors import Refused
from holdfast.infra.targets.cluster.local.layout import (
    HOST_ADDRESS,
    LINK,
    LINK_PREFIX,
    NODE_ADDRESS,
    PODS,
    RANGE,
    SERVICES,
)

LIST_ROUTES = ["ip", "-json", "route", "show", "table", "all"]
LIST_LINKS = ["ip", "-json", "link", "show"]
DELETE_LINK = ["ip", "link", "delete", LINK]


def host_commands(init_pid: int) -> list[list[str]]:
    """The host's end. It and its routes vanish with the cluster's network namespace."""
    return [
        ["ip", "link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", str(init_pid)],
        ["ip", "address", "add", f"{HOST_ADDRESS}/{LINK_PREFIX}", "dev", LINK],
        ["ip", "link", "set", LINK, "up"],
    ]


def route_commands() -> list[list[str]]:
    """Pods and Services by their addresses from the host, so that a probe can reach each pod."""
    return [["ip", "route", "add", destination, "via", NODE_ADDRESS, "dev", LINK] for destination in (PODS, SERVICES)]


def node_commands() -> list[list[str]]:
    """The node's end, inside."""
    return [
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{NODE_ADDRESS}/{LINK_PREFIX}", "dev", "eth0"],
        ["ip", "link", "set", "eth0", "up"],
        ["ip", "route", "add", "default", "via", HOST_ADDRESS],
        ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"],
    ]


def overlapping(routes: str) -> list[str]:
    """The host's routes (JSON of `ip route`) that overlap the cluster's range and are not the cluster's own."""
    ours = ipaddress.ip_network(RANGE)
    return [found for found in _destinations(json.loads(routes)) if ipaddress.ip_network(found).overlaps(ours)]


def refuse_overlap(routes: str) -> None:
    """Raises Refused when the host already uses the cluster's addresses."""
    if found := overlapping(routes):
        raise Refused(
            f"the cluster's addresses {RANGE} are in use",
            because=f"this machine has routes to {', '.join(sorted(set(found)))}",
            way_out="`ip route` shows whose they are; end that network, or a cluster of another state folder",
        )


def _destinations(routes: Iterable[dict[str, str]]) -> Iterable[str]:
    for route in routes:
        destination = route.get("dst", "default")
        if destination != "default" and ":" not in destination:
            yield destination
