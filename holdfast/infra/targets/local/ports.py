"""Listen ports: outside the range from which the kernel gives ports to clients, and kept for the stack's life."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from holdfast.durable import replace_file
from holdfast.errors import Refused
from holdfast.infra.probes import port_is_free
from holdfast.infra.stack import COLORS, Stack
from holdfast.infra.targets.local.state import read_state

LOWEST, HIGHEST = 15_000, 32_000
HOST = "127.0.0.1"


def port_names(stack: Stack) -> list[str]:
    """The names of all ports that a stack needs; `link:` ports are used only where something serves the links."""
    names = ["edge", "edge-admin", *(f"internal-{name}" for name in stack.internal()), *stack.stores]
    for name, service in stack.services.items():
        for color in COLORS:
            for number in range(1, service.replicas + 1):
                names.append(f"{name}-{color}-{number}")
                if service.admin:
                    names.append(f"{name}-{color}-{number}-admin")
    return [*names, *(f"link:{name}" for name in link_names(stack))]


def listens_on(unit: str, port_name: str) -> bool:
    """Whether the port of this name is one that the unit listens on."""
    prefix = {"edge": "internal-", "links": "link:"}.get(unit)
    return port_name in (unit, f"{unit}-admin") or (prefix is not None and port_name.startswith(prefix))


def link_names(stack: Stack) -> list[str]:
    """The links with an address of their own: a call between services has one for each instance, behind Envoy."""
    names = []
    for name, link in stack.links.items():
        if link.source in stack.services and link.to in stack.services:
            service = stack.services[link.to]
            names += [f"{name}#{link.to}-{c}-{n}" for c in COLORS for n in range(1, service.replicas + 1)]
        else:
            names.append(name)
    return names


def kept_ports(path: Path, wanted: Iterable[str]) -> dict[str, int]:
    """Read the stack's ports; give ports to names that have none yet, and keep them.

    Raises Refused when the file cannot be read, or when there are not enough free ports.
    """
    ports = read_state(path, dict[str, int], way_out="holdfast down, then holdfast up --new-ports") or {}
    missing = [name for name in wanted if name not in ports]
    if missing:
        free = _free_ports(len(missing), taken=set(ports.values()), seed=zlib.crc32(str(path).encode()))
        ports |= dict(zip(missing, free, strict=True))
        replace_file(path, msgspec.json.encode(ports))
    return ports


def client_ports() -> range:
    """The kernel's own range for outgoing connections."""
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    return range(int(low), int(high) + 1)


def _free_ports(count: int, *, taken: set[int], seed: int) -> list[int]:
    """Free ports, beginning at a place that depends on the checkout, so that two checkouts rarely meet."""
    excluded = client_ports()
    candidates = [port for port in range(LOWEST, HIGHEST) if port not in excluded]
    start = random.Random(seed).randrange(max(len(candidates), 1))
    found: list[int] = []
    for port in candidates[start:] + candidates[:start]:
        if len(found) == count:
            break
        if port not in taken and port_is_free(HOST, port):
            found.append(port)
    if len(found) < count:
        raise Refused(
            "there are not enough free ports",
            because=f"{count} are needed between {LOWEST} and {HIGHEST}, outside the kernel's client range",
            way_out="end what listens there",
        )
    return found
