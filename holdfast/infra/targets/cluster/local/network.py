"""The network: one link between the host and the node, and routes to pods and Services over it."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterable
from pathlib import Path

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


def host_commands(init_pid: int, root: Path) -> list[list[str]]:
    """The host's end; its alias says whose it is. It and its routes vanish with the cluster's network namespace."""
    return [
        ["ip", "link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", str(init_pid)],
        ["ip", "address", "add", f"{HOST_ADDRESS}/{LINK_PREFIX}", "dev", LINK],
        ["ip", "link", "set", LINK, "up", "alias", alias(root)],
    ]


def alias(root: Path) -> str:
    """The state folder, as far as an alias can be long (255 bytes, kernel IFALIASZ)."""
    return os.fsencode(root)[-255:].decode("ascii", errors="replace").replace("\ufffd", "?")


def link_owner(links: str) -> str | None:
    """Whose the link is (the alias in JSON of `ip link`); None when there is no link."""
    aliases = [str(link.get("ifalias", "")) for link in json.loads(links) if link.get("ifname") == LINK]
    return aliases[0] if aliases else None


def refuse_second(links: str) -> None:
    """Raises Refused when a cluster of another state folder is up: there is one a machine."""
    owner = link_owner(links)
    if owner is not None:
        raise Refused(
            "another cluster is up on this machine",
            because=f"the link {LINK} belongs to the one in {owner}",
            way_out="use that one, or end it: scripts/cluster down with the XDG_STATE_HOME that it was started with",
        )


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
