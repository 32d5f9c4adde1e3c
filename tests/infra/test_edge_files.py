"""Envoy's files as data: compared with golden files (`HOLDFAST_UPDATE=1` writes them), and read back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.infra.edge.bootstrap import EdgePorts, bootstrap
from holdfast.infra.edge.routes import IDEMPOTENCY_HEADER, PREVIEW, PREVIEW_HEADER, read_table, route_file
from holdfast.infra.stack import COLORS, Stack, load_stack
from holdfast.infra.target import RouteTable

GOLDEN = Path(__file__).parent / "golden"

TABLES = {
    "routes-empty": RouteTable(),
    "routes-first-preview": RouteTable(preview={"gateway": "blue", "engine": "blue"}, token=1, serial=1),
    "routes-live-and-preview": RouteTable(
        weights={"gateway": {"blue": 100}, "engine": {"blue": 100}},
        preview={"gateway": "green", "engine": "green"},
        token=2,
        serial=4,
    ),
    "routes-weights": RouteTable(
        weights={"gateway": {"blue": 90, "green": 10}, "engine": {"green": 100}}, token=3, serial=5
    ),
}


@pytest.fixture(scope="module")
def stack() -> Stack:
    return load_stack("sparkle")


def ports(stack: Stack) -> EdgePorts:
    endpoints: dict[str, dict[str, list[tuple[str, int]]]] = {}
    for base, name in enumerate(stack.services, 1):
        endpoints[name] = {
            color: [("127.0.0.1", 20000 + base * 100 + shift * 10 + number) for number in (1, 2)]
            for shift, color in enumerate(COLORS)
        }
    return EdgePorts(host="127.0.0.1", edge=19000, admin=19001, internal={"engine": 19002}, endpoints=endpoints)


def compare(name: str, found: Any) -> None:
    """Compare with the golden file, or write it."""
    path = GOLDEN / f"{name}.json"
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("HOLDFAST_UPDATE"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, f"HOLDFAST_UPDATE=1 writes {path.name} anew; read its diff"


@pytest.mark.parametrize("name", TABLES)
def test_the_route_file_is_what_it_was(stack: Stack, name: str) -> None:
    compare(name, json.loads(route_file(stack, TABLES[name])))


@pytest.mark.parametrize("name", TABLES)
def test_the_table_is_read_back_from_its_file(stack: Stack, name: str) -> None:
    assert read_table(route_file(stack, TABLES[name])) == TABLES[name]


def test_the_bootstrap_is_what_it_was(stack: Stack) -> None:
    compare("bootstrap", bootstrap(stack, ports(stack), routes="/h/envoy/routes/routes.json", access_log="/h/a.jsonl"))


def test_every_name_that_a_table_can_lead_to_is_a_cluster_of_the_bootstrap(stack: Stack) -> None:
    found = bootstrap(stack, ports(stack), routes="/r/r.json", access_log="/a")
    clusters = {cluster["name"] for cluster in found["static_resources"]["clusters"]}
    for table in TABLES.values():
        assert set(_clusters_in(json.loads(route_file(stack, table)))) <= clusters


def test_a_preview_without_a_color_leads_nowhere_and_never_to_the_live_one(stack: Stack) -> None:
    config = json.loads(route_file(stack, RouteTable(weights={"gateway": {"blue": 100}, "engine": {"blue": 100}})))
    previews = [route for route in _routes_in(config) if _is_preview(route)]
    assert previews
    assert all(route["direct_response"]["status"] == 503 for route in previews)


def test_only_safe_or_keyed_requests_are_retried_after_a_reset(stack: Stack) -> None:
    table = TABLES["routes-live-and-preview"]
    for route in _routes_in(json.loads(route_file(stack, table))):
        names = {header["name"] for header in route["match"]["headers"]}
        may_repeat = names & {":method", IDEMPOTENCY_HEADER}
        assert ("reset" in route["route"]["retry_policy"]["retry_on"].split(",")) == bool(may_repeat), route["match"]


def test_streams_have_no_timeout_and_everything_else_has_one(stack: Stack) -> None:
    config = json.loads(route_file(stack, TABLES["routes-live-and-preview"]))
    edge = config["resources"][0]["virtual_hosts"][0]
    for route in edge["routes"]:
        expected = "0s" if route["match"]["prefix"] in stack.edge.streams else f"{stack.edge.timeout_s:g}s"
        assert route["route"]["timeout"] == expected


def test_moving_ends_the_preview_and_leaves_other_services_alone() -> None:
    table = RouteTable(weights={"gateway": {"blue": 100}, "engine": {"blue": 90, "green": 10}}, serial=7)
    moved = msgspec.structs.replace(table, preview={"gateway": "green"}).moved({"gateway": "green"}, token=3)
    assert moved.weights == {"gateway": {"green": 100}, "engine": {"blue": 90, "green": 10}}
    assert (moved.preview, moved.token, moved.serial) == ({}, 3, 8)
    assert moved.live("engine") == "blue"
    assert moved.live("nothing") is None


def _routes_in(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [route for host in config["resources"][0]["virtual_hosts"] for route in host["routes"]]


def _is_preview(route: dict[str, Any]) -> bool:
    return any(
        header["name"] == PREVIEW_HEADER and header["string_match"]["exact"] == PREVIEW
        for header in route["match"]["headers"]
    )


def _clusters_in(config: dict[str, Any]) -> list[str]:
    weighted = [route["route"]["weighted_clusters"]["clusters"] for route in _routes_in(config) if "route" in route]
    return [cluster["name"] for clusters in weighted for cluster in clusters]
