"""Which switch a stack has, and what the HTTPRoute of a route table says: written, taken, changed by hand."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.cluster_plan import as_yaml
from support.golden import assert_golden
from support.switched import behind_gateway

from holdfast.content import content_root
from holdfast.errors import EnvironmentFailed, UsageError
from holdfast.infra.program.model import switch_of
from holdfast.infra.program.place import cluster_of, place_of
from holdfast.infra.stack import load_stack, parse_stack
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.cluster.switches import edge
from holdfast.infra.targets.cluster.switches import gateway_api as gateway
from holdfast.infra.targets.cluster.target import SWITCHES
from holdfast.infra.targets.cluster.throwaway import throwaway

GOLDEN = Path(__file__).parent / "golden" / "http-routes.yaml"
BLUE = RouteTable(weights={"gateway": {"blue": 100}, "engine": {"blue": 100}}, token=7, serial=1)
TABLES = {
    "nobody": RouteTable(),
    "blue": BLUE,
    "previewing": BLUE.previewing({"gateway": "green"}, 8),
    "shared": BLUE.shared({"gateway": "green"}, {"gateway": "blue"}, 25, 8),
    "moved": BLUE.moved({"gateway": "green", "engine": "green"}, 8),
}

# -- which switch --------------------------------------------------------------------------------------------------


def parsed(without: tuple[str, ...] = (), **fields: Any) -> str:
    """The switch of sparkle with other fields under `cluster`."""
    plain = yaml.safe_load((content_root() / "infra/stacks/sparkle.yaml").read_text())
    plain["cluster"] = {key: value for key, value in plain["cluster"].items() if key not in without} | fields
    return switch_of(cluster_of(parse_stack(plain, "s.yaml")))


def test_a_stack_that_names_no_switch_has_its_edge_else_selectors() -> None:
    assert parsed() == "edge"
    assert parsed(without=("edge",)) == "selector"


def test_a_switch_that_is_named_is_taken() -> None:
    assert parsed(switch="edge") == "edge"
    assert parsed(without=("edge",), switch="selector") == "selector"
    assert parsed(without=("edge",), switch="gateway-api", gateway="front/gate") == "gateway-api"


@pytest.mark.parametrize(
    ("field", "without", "fields"),
    [
        ("switch", ("edge",), {"switch": "edge"}),
        ("switch", (), {"switch": "selector"}),
        ("switch", (), {"switch": "gateway-api", "gateway": "gate"}),
        ("switch", (), {"switch": "magic"}),
        ("gateway", ("edge",), {"switch": "gateway-api"}),
        ("gateway", ("edge",), {"switch": "gateway-api", "gateway": "a/b/c"}),
        ("gateway", (), {"gateway": "gate"}),
    ],
)
def test_a_switch_without_what_it_needs_is_refused(
    field: str, without: tuple[str, ...], fields: dict[str, Any]
) -> None:
    with pytest.raises(UsageError) as found:
        parsed(without, **fields)
    assert found.value.what.startswith(f"s.yaml: cluster.{field}")


def test_a_throw_away_stack_stays_off_the_gateway_of_the_users() -> None:
    cluster = cluster_of(throwaway(behind_gateway()))
    assert (switch_of(cluster), cluster.gateway) == ("selector", "")
    assert switch_of(cluster_of(throwaway(load_stack("sparkle")))) == "edge"


def test_every_switch_has_the_same_words() -> None:
    words = {"write", "in_force", "unseen", "drift", "address", "color", "preview", "answers", "shares"}
    assert [kind for kind, switch in SWITCHES.items() if not words <= {*dir(switch)}] == []
    assert {kind for kind, switch in SWITCHES.items() if switch.shares} == {"edge", "gateway-api"}


# -- what is written -----------------------------------------------------------------------------------------------


def route(table: RouteTable, named: str = "front/gate") -> dict[str, Any]:
    stack = behind_gateway(named)
    return gateway.http_route(stack, place_of(stack, "staging", "primary"), table)


def weights(made: dict[str, Any]) -> list[dict[str, int]]:
    """Of the rule for the preview, and of the rule for all."""
    return [
        {backend["name"]: backend["weight"] for backend in rule.get("backendRefs", [])}
        for rule in made["spec"]["rules"]
    ]


def test_the_routes_of_a_release_are_what_they_were() -> None:
    assert_golden(GOLDEN, as_yaml([{"table": name, **route(table)} for name, table in TABLES.items()]))


def test_the_weights_of_a_table_are_those_of_its_backends() -> None:
    said = {name: weights(route(table)) for name, table in TABLES.items()}
    blue, green = {"gateway-blue": 100, "gateway-green": 0}, {"gateway-blue": 0, "gateway-green": 100}
    assert said == {
        "nobody": [{}, {}],
        "blue": [{}, blue],
        "previewing": [green, blue],
        "shared": [{}, {"gateway-blue": 75, "gateway-green": 25}],
        "moved": [{}, green],
    }


def test_a_preview_of_no_color_leads_to_nobody_and_not_to_the_live_one() -> None:
    preview, everybody = route(BLUE)["spec"]["rules"]
    assert preview["matches"][0]["headers"][0]["name"] == "x-holdfast-preview"
    assert "backendRefs" not in preview
    assert "headers" not in everybody["matches"][0]


def test_a_gateway_without_a_namespace_is_in_the_stacks_own() -> None:
    assert route(BLUE, "gate")["spec"]["parentRefs"][0]["namespace"] == "sparkle-staging"


def test_what_others_noted_on_the_route_stays() -> None:
    before = route(BLUE)
    before["metadata"] |= {"resourceVersion": "12", "labels": {"theirs": "yes"}, "annotations": {"theirs": "yes"}}
    made = gateway.rewritten(before, route(TABLES["moved"]))
    assert made["metadata"]["resourceVersion"] == "12"
    assert made["metadata"]["annotations"] == {"theirs": "yes", gateway.TOKEN: "8"}
    assert made["metadata"]["labels"]["theirs"] == "yes"
    assert made["spec"] == route(TABLES["moved"])["spec"]


# -- what is read --------------------------------------------------------------------------------------------------


def taken(**change: Any) -> dict[str, Any]:
    """A route of generation 3 that the Gateway has taken; `change`: of what it says of ResolvedRefs."""
    said = [
        {"type": kind, "status": "True", "observedGeneration": 3, "reason": kind, "message": ""}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    said[1] |= change
    made = copy.deepcopy(route(BLUE))
    made["metadata"]["generation"] = 3
    made["status"] = {"parents": [{"parentRef": {"namespace": "front", "name": "gate"}, "conditions": said}]}
    return made


def test_a_route_is_in_force_when_every_parent_has_taken_its_generation() -> None:
    assert gateway.untaken(taken(), "front", "gate") == ""


def test_a_route_is_not_in_force_before_its_gateway_says_so() -> None:
    silent = taken()
    del silent["status"]
    assert "has not said anything" in gateway.untaken(silent, "front", "gate")
    assert "has not said anything" in gateway.untaken(taken(), "front", "another")
    assert "ResolvedRefs of generation 3" in gateway.untaken(taken(observedGeneration=2), "front", "gate")
    assert "no such Service" in gateway.untaken(taken(status="False", message="no such Service"), "front", "gate")
    two = taken()
    two["status"]["parents"].append({"parentRef": {"name": "second"}, "conditions": []})
    assert gateway.untaken(two, "front", "gate") == "second has not said Accepted of generation 3"


def test_a_parent_without_a_namespace_is_in_the_routes_own() -> None:
    made = taken()
    del made["status"]["parents"][0]["parentRef"]["namespace"]
    assert gateway.untaken(made, "sparkle-staging", "gate") == ""
    assert gateway.untaken(made, "front", "gate") != ""


def test_a_change_by_hand_is_named_by_its_path() -> None:
    wanted = route(BLUE)["spec"]
    found = copy.deepcopy(wanted)
    assert list(gateway.differences(wanted, found, "")) == []
    found["rules"][1]["backendRefs"][1]["weight"] = 30
    found["rules"][1]["filters"] = []
    del found["parentRefs"][0]["namespace"]
    assert sorted(gateway.differences(wanted, found, "")) == [
        "parentRefs[0].namespace is missing",
        "rules[1].backendRefs[1].weight is 30, not 0",
        "rules[1].filters was added",
    ]
    assert list(gateway.differences(wanted, {**wanted, "rules": []}, "")) == ["rules has 0 entries, not 2"]


def test_a_gateway_is_reached_at_its_first_address_by_its_http_listener() -> None:
    listeners = [{"name": "tls", "port": 443, "protocol": "HTTPS"}, {"name": "plain", "port": 80, "protocol": "HTTP"}]
    made = {"metadata": {"name": "gate", "namespace": "front"}, "spec": {"listeners": listeners}}
    with pytest.raises(EnvironmentFailed, match="no address in its status"):
        gateway.address_of(made)
    made["status"] = {"addresses": [{"type": "IPAddress", "value": "192.0.2.7"}]}
    assert gateway.address_of(made) == ("192.0.2.7", 80)
    with pytest.raises(EnvironmentFailed, match="no listener of the protocol HTTP"):
        gateway.address_of({**made, "spec": {"listeners": listeners[:1]}})


def test_the_four_stacks_move_as_before() -> None:
    kinds = {name: switch_of(cluster_of(load_stack(name))) for name in ("sparkle", "agno", "macjarvis", "sage")}
    assert kinds == {"sparkle": "edge", "agno": "selector", "macjarvis": "selector", "sage": "selector"}


def test_the_addresses_that_an_envoy_knows_are_read_from_its_text() -> None:
    said = """\
gateway-blue::observability_name::gateway-blue
gateway-blue::default_priority::max_connections::8192
gateway-blue::10.213.4.250:8080::cx_active::1
gateway-blue::10.213.4.250:8080::health_flags::healthy
gateway-blue::10.213.4.251:8080::health_flags::healthy
gateway-blue-2::10.213.4.9:8080::health_flags::healthy
"""
    assert edge._hosts(said, "gateway-blue") == {"10.213.4.250", "10.213.4.251"}
    assert edge._hosts(said, "gateway-green") == set()
