"""Cuts: no pod of one part reaches any pod of another, by the stack's own NetworkPolicies. Enforced where policies are.

A policy only ever allows: none can be added that denies. A cut takes the way out of the policy that opens it, the
source's own. All cuts of a source lie in that one object and each change is one guarded write of it, so that a cut is
there whole or not at all. A label finds the object again; an annotation keeps what it said before. `heal` puts back the
rules, then who owned them: the next `up` finds its policy as it left it. Until both are done the cut is listed.

A cut that would not hold is refused: where another policy, or a block of addresses, lets connections through as well.
New connections are denied; what becomes of open ones is up to the network plugin.

https://kubernetes.io/docs/concepts/services-networking/network-policies/: isolation, the union of rules, peers, ports.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.program.place import Place
from holdfast.infra.targets.cluster.api import MANAGER, Api, Conflict, Object

CUT = "holdfast/cut"
"""The label of a policy that is narrowed, and the annotation that says to whom, and what it was before."""
TRIES = 20

Labels = Mapping[str, str]
Way = Literal["Ingress", "Egress"]


def cut(api: Api, place: Place, source: str, to: str) -> None:
    """Cut the way from one part's pods to another's; again: nothing changes. Raises Refused when it would not hold."""

    def narrow(policy: Object) -> Object:
        ends = {end: _pods(api, place, end) for end in {*ends_of(policy), to}}
        made = narrowed(policy, ends)
        others = [found for found in api.list("NetworkPolicy") if found["metadata"]["name"] != source]
        space = api.get("Namespace", place.namespace)["metadata"]["labels"]
        if left := open_ways([*others, made], _pods(api, place, source), ends[to], space):
            raise _refused(source, to, f"let through as well by the policies {', '.join(left)}", OTHERWISE)
        return made

    if source == to:
        raise _refused(source, to, "a part's own pods may always talk to each other", "name two parts")
    if api.find("NetworkPolicy", source) is None:
        raise _refused(source, to, f"there is no policy {source} in {place.namespace}", "holdfast up --target cluster")
    _rewrite(api, source, to, narrow)


def heal(api: Api, place: Place, source: str, to: str) -> None:
    """Open the way again; nothing where it is not cut. With the last cut of a source all is as before."""

    def widen(policy: Object) -> Object:
        ends = [end for end in ends_of(policy) if end != to]
        if ends == ends_of(policy):
            return policy
        if ends:
            return narrowed(policy, {end: _pods(api, place, end) for end in ends})
        return healed(policy) if _rules(policy, "Egress") == _state(policy)["egress"] else reopened(policy)

    if (source, to) in cuts(api):
        _rewrite(api, source, to, widen)


def cuts(api: Api) -> list[tuple[str, str]]:
    """The cuts that are there, whoever made them: (source, to)."""
    found = api.list("NetworkPolicy", {CUT: "yes"})
    return sorted((str(policy["metadata"]["name"]), end) for policy in found for end in ends_of(policy))


# -- what a policy becomes: pure -----------------------------------------------------------------------------------


def ends_of(policy: Object) -> list[str]:
    """To whom a policy's cuts are."""
    return list(_state(policy).get("to", []))


def narrowed(policy: Object, ends: Mapping[str, Sequence[Labels]]) -> Object:
    """A policy as it was before any cut, without the ways to the pods of these ends; `ends`: the labels of their pods.

    Raises Refused when no rule names the pods of an end.
    """
    state = _state(policy) or _before(policy)
    rules: list[Object] = state["egress"]
    for end, pods in ends.items():
        less = [kept for rule in rules if (kept := _without(rule, pods))]
        if less == rules:
            name = policy["metadata"]["name"]
            because = f"the policy {name} opens no way from pod to pod between them"
            raise _refused(name, end, because, "name the ends of a link as it runs: calls may go through the edge")
        rules = less
    note = json.dumps({**state, "to": sorted(ends)}, sort_keys=True)
    return _with(policy, rules, annotation=note, label="yes")


def reopened(policy: Object) -> Object:
    """The policy with the rules of before; label and note stay while the rules' owner is still to be put right."""
    return {**policy, "spec": _spec(policy, _state(policy)["egress"])}


def healed(policy: Object) -> Object:
    """A reopened policy without label and note, and its rules owned by whoever owned them before."""
    owners = _state(policy)["owners"]
    replaced = [(MANAGER, "Update"), *((owner["manager"], owner["operation"]) for owner in owners)]
    fields = policy["metadata"].get("managedFields") or []
    others = [entry for entry in fields if (entry["manager"], entry["operation"]) not in replaced]
    made = _with(policy, _rules(policy, "Egress"), annotation="", label="")
    made["metadata"]["managedFields"] = [*others, *owners]
    return made


def open_ways(policies: Sequence[Object], source: Sequence[Labels], to: Sequence[Labels], space: Labels) -> list[str]:
    """The names of the policies by which some pod of a source may reach some pod of the other end, in one namespace.

    The pods by their labels, the namespace by its own. A block of addresses may hold any pod, a named port any number.
    """
    outs, ins = _selecting(policies, source, "Egress"), _selecting(policies, to, "Ingress")
    found = {
        name
        for leaves, out in outs
        for enters, into in ins
        if _leads(out.get("to"), to, space) and _leads(into.get("from"), source, space) and _overlap(out, into)
        for name in (leaves, enters)
    }
    return sorted(found)


# -- what a policy says: pure --------------------------------------------------------------------------------------


def _selecting(policies: Sequence[Object], pods: Sequence[Labels], way: Way) -> list[tuple[str, Object]]:
    """The rules for these pods in one direction, each with its policy's name; a rule of everything where none is."""
    mine = [
        policy
        for policy in policies
        if way in _types(policy) and any(_selects(policy["spec"].get("podSelector") or {}, labels) for labels in pods)
    ]
    if not mine:
        return [(f"(none for {way.lower()})", {})]
    return [(str(policy["metadata"]["name"]), rule) for policy in mine for rule in _rules(policy, way)]


def _leads(peers: Sequence[Object] | None, pods: Sequence[Labels], space: Labels) -> bool:
    """Whether a rule's peers hold one of these pods of this namespace."""
    return not peers or any("ipBlock" in peer or _names(peer, pods, space) for peer in peers)


def _names(peer: Object, pods: Sequence[Labels], space: Labels) -> bool:
    here = "namespaceSelector" not in peer or _selects(peer["namespaceSelector"] or {}, space)
    return here and any(_selects(peer.get("podSelector") or {}, labels) for labels in pods)


def _without(rule: Object, pods: Sequence[Labels]) -> Object:
    """A rule without the peers that are these pods by name; empty when none is left."""
    peers = rule.get("to")
    if not peers:
        return rule
    kept = [
        peer for peer in peers if "podSelector" not in peer or "namespaceSelector" in peer or not _names(peer, pods, {})
    ]
    return {**rule, "to": kept} if kept else {}


def _selects(selector: Object, labels: Labels) -> bool:
    """Whether a label selector selects what has these labels. An empty one selects all."""
    exact = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return exact and all(_holds(test, labels) for test in selector.get("matchExpressions") or [])


def _holds(test: Object, labels: Labels) -> bool:
    key, values = test["key"], test.get("values") or []
    match test["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def _overlap(one: Object, other: Object) -> bool:
    """Whether two rules share a port. A rule without ports has all."""
    if not one.get("ports") or not other.get("ports"):
        return True
    return any(
        a.get("protocol", "TCP") == b.get("protocol", "TCP") and _meet(_range(a), _range(b))
        for a in one["ports"]
        for b in other["ports"]
    )


def _range(port: Object) -> tuple[int, int]:
    first = port.get("port")
    return (first, port.get("endPort", first)) if isinstance(first, int) else (1, 65535)


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _types(policy: Object) -> list[str]:
    """The directions that a policy speaks of; what the API server fills in where it does not say."""
    spec = policy["spec"]
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _rules(policy: Object, way: Way) -> list[Object]:
    return list(policy["spec"].get(way.lower()) or [])


# -- inside --------------------------------------------------------------------------------------------------------

OTHERWISE = "change or delete that policy, cut another link, or break this one by the fault proxy"


def _rewrite(api: Api, source: str, to: str, change: Callable[[Object], Object]) -> None:
    """Write what a source's policy becomes, guarded, until it stays as it is."""
    for _ in range(TRIES):
        before = api.get("NetworkPolicy", source)
        made = change(before)
        if made == before:
            return
        try:
            api.replace({**made, "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"})
        except Conflict:
            continue
    raise EnvironmentFailed(
        f"the way from {source} to {to} could not be changed",
        because=f"somebody else changed the NetworkPolicy {source} {TRIES} times meanwhile",
        way_out="end the other operator, then do it again",
    )


def _pods(api: Api, place: Place, part: str) -> list[Labels]:
    """The labels of a part's pods: those that all have, and those of each that is there."""
    labels = place.selector(part)
    return [labels, *(pod["metadata"]["labels"] for pod in api.list("Pod", labels))]


def _before(policy: Object) -> dict[str, Any]:
    """What has to come back: the rules, and the entries of those who own them."""
    fields = policy["metadata"].get("managedFields") or []
    owners = [entry for entry in fields if "f:egress" in entry.get("fieldsV1", {}).get("f:spec", {})]
    return {"to": [], "egress": _rules(policy, "Egress"), "owners": owners}


def _state(policy: Object) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((policy["metadata"].get("annotations") or {}).get(CUT, "{}"))
    return state


def _with(policy: Object, egress: list[Object], *, annotation: str, label: str) -> Object:
    """A policy with other rules, note and label; none where they are empty."""
    metadata = dict(policy["metadata"])
    for field, value in (("annotations", annotation), ("labels", label)):
        kept = {key: text for key, text in (metadata.pop(field, None) or {}).items() if key != CUT}
        if entries := {**kept, **({CUT: value} if value else {})}:
            metadata[field] = entries
    return {**policy, "metadata": metadata, "spec": _spec(policy, egress)}


def _spec(policy: Object, egress: list[Object]) -> Object:
    """A policy's spec with other rules. No list instead of an empty one, as the API server keeps it."""
    spec = {key: value for key, value in policy["spec"].items() if key != "egress"}
    return {**spec, **({"egress": egress} if egress else {})}


def _refused(source: str, to: str, because: str, way_out: str) -> Refused:
    return Refused(f"the way from {source} to {to} is not cut", because=because, way_out=way_out)
