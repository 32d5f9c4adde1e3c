"""Which connections a cluster that enforces NetworkPolicies would let through: the rules of the Kubernetes reference.

A pod is isolated in a direction when a policy of its namespace selects it and speaks of that direction; what is let
through then is the union of the rules of all such policies. A connection needs both ends. Blocks of addresses are
taken to hold for pods too, as some network plugins have it. It is apart from what holdfast itself asks before a cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

Policy = Mapping[str, Any]


class Pod(NamedTuple):
    """A pod: its labels, its address, its namespace."""

    labels: Mapping[str, str]
    address: str = "10.9.0.1"
    namespace: str = "default"


def allowed(policies: Iterable[Policy], source: Pod, to: Pod, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection is let through."""
    listed = list(policies)
    return _passes(listed, "Egress", source, to, port, protocol) and _passes(
        listed, "Ingress", to, source, port, protocol
    )


def _passes(policies: list[Policy], way: str, mine: Pod, other: Pod, port: int, protocol: str) -> bool:
    isolating = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == mine.namespace
        and way in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"], mine.labels)
    ]
    peers = {"Egress": "to", "Ingress": "from"}[way]
    return not isolating or any(
        _port(rule, port, protocol) and _peer(rule.get(peers), mine, other)
        for spec in isolating
        for rule in spec.get(way.lower(), [])
    )


def _port(rule: Policy, port: int, protocol: str) -> bool:
    return not rule.get("ports") or any(
        one.get("protocol", "TCP") == protocol and one["port"] <= port <= one.get("endPort", one["port"])
        for one in rule["ports"]
    )


def _peer(peers: list[Policy] | None, mine: Pod, other: Pod) -> bool:
    return not peers or any(_is(peer, mine, other) for peer in peers)


def _is(peer: Policy, mine: Pod, other: Pod) -> bool:
    if "ipBlock" in peer:
        block, address = peer["ipBlock"], ip_address(other.address)
        left_out = any(address in ip_network(one) for one in block.get("except", []))
        return address in ip_network(block["cidr"]) and not left_out
    spaces = peer.get("namespaceSelector")
    if spaces is None:
        if other.namespace != mine.namespace:
            return False
    elif not matches(spaces, {"kubernetes.io/metadata.name": other.namespace}):
        return False
    return matches(peer.get("podSelector", {}), other.labels)


def matches(selector: Policy, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for one in selector.get("matchExpressions", []):
        there = one["key"] in labels
        held = {
            "Exists": there,
            "DoesNotExist": not there,
            "In": there and labels.get(one["key"]) in one.get("values", []),
            "NotIn": labels.get(one["key"]) not in one.get("values", []),
        }
        if not held[one["operator"]]:
            return False
    return True
