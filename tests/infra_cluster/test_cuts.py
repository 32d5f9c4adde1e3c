"""Cuts: what they make of a stack's policies, and what a cluster that enforces policies would let through then."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from support.cluster_plan import STACKS, as_yaml, objects
from support.golden import assert_golden
from support.network_policies import Pod, allowed

from holdfast.errors import Refused
from holdfast.infra.program import network
from holdfast.infra.program.place import place_of
from holdfast.infra.stack import load_stack
from holdfast.infra.targets.cluster import cuts
from holdfast.infra.targets.cluster.api import Object

GOLDEN = Path(__file__).parent / "golden" / "cuts.yaml"
UNUSED = 59999
"""A port that nobody opens."""


class Plan:
    """A stack's policies and pods in staging."""

    def __init__(self, name: str) -> None:
        self.stack = load_stack(name)
        self.place = place_of(self.stack, "staging", "primary")
        self.space = {"kubernetes.io/metadata.name": self.place.namespace}
        made = [entry for entry in objects(name) if entry["metadata"].get("namespace") == self.place.namespace]
        self.policies = {str(entry["metadata"]["name"]): entry for entry in made if entry["kind"] == "NetworkPolicy"}
        self.pods: dict[str, list[Pod]] = {}
        for entry in made:
            if entry["kind"] in ("Deployment", "StatefulSet"):
                labels = entry["spec"]["template"]["metadata"]["labels"]
                pod = Pod(labels, f"10.9.0.{len(self.pods) + 1}", self.place.namespace)
                self.pods.setdefault(labels["app.kubernetes.io/name"], []).append(pod)

    def labels(self, part: str) -> list[cuts.Labels]:
        return [pod.labels for pod in self.pods[part]]

    def ways(self) -> list[tuple[str, str]]:
        """What is open from the pods of one part to those of another."""
        return [(source, to) for source, to in network.flows(self.stack) if {source, to} <= self.pods.keys()]

    def cut(self, source: str, *ends: str) -> dict[str, Object]:
        """The policies with cuts."""
        made = cuts.narrowed(self.policies[source], {end: self.labels(end) for end in ends})
        return {**self.policies, source: made}

    def reached(self, policies: dict[str, Object], source: str) -> set[tuple[str, int]]:
        """Which parts any pod of a part reaches, and on which ports."""
        said = {
            port["port"]
            for policy in self.policies.values()
            for way in ("ingress", "egress")
            for rule in policy["spec"].get(way, [])
            for port in rule.get("ports", [])
        }
        return {
            (to, port)
            for to, pods in self.pods.items()
            for port in {*said, UNUSED}
            for pod in pods
            if any(allowed(policies.values(), mine, pod, port) for mine in self.pods[source])
        }


@pytest.fixture(scope="module", params=STACKS)
def plan(request: pytest.FixtureRequest) -> Plan:
    return Plan(request.param)


@pytest.fixture(scope="module")
def sparkle() -> Plan:
    return Plan("sparkle")


def test_policies_of_a_cut_are_what_they_were(sparkle: Plan) -> None:
    one, both = sparkle.cut("engine", "postgres")["engine"], sparkle.cut("engine", "postgres", "redis")["engine"]
    assert_golden(GOLDEN, as_yaml([sparkle.policies["engine"], one, both]))


def test_each_way_of_a_stack_is_open_before_its_cut_closed_during_it_and_nothing_else_changes(plan: Plan) -> None:
    """Each way that can be cut, in all stacks; what would not hold is refused, and none of these is."""
    assert plan.ways()
    for source, to in plan.ways():
        before = plan.reached(plan.policies, source)
        during = plan.cut(source, to)
        assert [port for end, port in before if end == to], (source, to)
        assert plan.reached(during, source) == {(end, port) for end, port in before if end != to}, (source, to)
        assert cuts.open_ways([*during.values()], plan.labels(source), plan.labels(to), plan.space) == []
        kept = {key: value for key, value in during[source]["spec"].items() if key != "egress"}
        assert kept.items() <= plan.policies[source]["spec"].items()
        after = cuts.healed(cuts.reopened(during[source]))
        del after["metadata"]["managedFields"]
        assert after == plan.policies[source]


def test_what_is_asked_before_a_cut_is_what_a_cluster_would_let_through(plan: Plan) -> None:
    """The question of the product against the tests' own evaluator, for every pair of parts."""
    for source in plan.pods:
        reached = {to for to, port in plan.reached(plan.policies, source)}
        said = {
            to
            for to in plan.pods
            if cuts.open_ways([*plan.policies.values()], plan.labels(source), plan.labels(to), plan.space)
        }
        assert reached == said, source


def test_two_cuts_of_a_source_hold_together_and_are_healed_one_by_one(sparkle: Plan) -> None:
    both = sparkle.cut("engine", "postgres", "redis")["engine"]
    assert cuts.ends_of(both) == ["postgres", "redis"]
    one = cuts.narrowed(both, {"redis": sparkle.labels("redis")})
    assert one == sparkle.cut("engine", "redis")["engine"]
    again = cuts.narrowed(one, {end: sparkle.labels(end) for end in ("redis", "postgres")})
    assert again == both


def test_a_cut_again_changes_nothing(sparkle: Plan) -> None:
    once = sparkle.cut("engine", "postgres")["engine"]
    assert cuts.narrowed(once, {"postgres": sparkle.labels("postgres")}) == once


def test_the_former_owner_has_the_rules_again_after_a_heal(sparkle: Plan) -> None:
    policy = copy.deepcopy(sparkle.policies["engine"])
    owner = {"manager": "pulumi", "operation": "Apply", "fieldsV1": {"f:spec": {"f:egress": {}, "f:ingress": {}}}}
    other = {"manager": "someone", "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": {"f:theirs": {}}}}}
    policy["metadata"]["managedFields"] = [owner, other]
    during = cuts.narrowed(policy, {"postgres": sparkle.labels("postgres")})
    less = {**owner, "fieldsV1": {"f:spec": {"f:ingress": {}}}}
    mine = {"manager": "holdfast", "operation": "Update", "fieldsV1": {"f:spec": {"f:egress": {}}}}
    during["metadata"]["managedFields"] = [less, other, mine]
    healed = cuts.healed(cuts.reopened(during))
    assert healed["metadata"]["managedFields"] == [other, owner]
    assert {key: value for key, value in healed.items() if key != "metadata"} == {
        key: value for key, value in policy.items() if key != "metadata"
    }


def test_a_way_that_goes_through_the_edge_is_refused_with_the_way_it_takes(sparkle: Plan) -> None:
    with pytest.raises(Refused, match="opens no way from pod to pod") as found:
        sparkle.cut("gateway", "engine")
    assert "edge" in found.value.way_out


BESIDE: dict[str, list[dict[str, Any]]] = {
    "everybody": [{}],
    "an address block": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}],
    "this namespace": [{"to": [{"namespaceSelector": {}}]}],
    "its pods": [
        {"to": [{"podSelector": {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "Exists"}]}}]}
    ],
    "a range of ports": [{"to": [{"podSelector": {}}], "ports": [{"port": 5000, "endPort": 6000}]}],
}
HARMLESS: dict[str, list[dict[str, Any]]] = {
    "another namespace": [
        {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]}
    ],
    "another port": [{"to": [{"podSelector": {}}], "ports": [{"port": UNUSED}]}],
    "other pods": [
        {
            "to": [
                {
                    "podSelector": {
                        "matchExpressions": [
                            {"key": "app.kubernetes.io/name", "operator": "NotIn", "values": ["postgres"]}
                        ]
                    }
                }
            ]
        }
    ],
    "nobody": [],
}


@pytest.mark.parametrize(
    ("beside", "holds"), [*((name, False) for name in BESIDE), *((name, True) for name in HARMLESS)]
)
def test_a_policy_beside_the_stacks_own_is_seen_when_it_lets_through(sparkle: Plan, beside: str, holds: bool) -> None:
    rules = {**BESIDE, **HARMLESS}[beside]
    theirs = {
        "metadata": {"name": "theirs", "namespace": sparkle.place.namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": rules},
    }
    during = {**sparkle.cut("engine", "postgres"), "theirs": theirs}
    source, to = sparkle.labels("engine"), sparkle.labels("postgres")
    left = cuts.open_ways([*during.values()], source, to, sparkle.space)
    assert ("theirs" in left) is not holds
    assert ("postgres" in {end for end, port in sparkle.reached(during, "engine")}) is not holds
