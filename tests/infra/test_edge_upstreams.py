"""Envoy with our configuration in front of servers that reset, fail, or hold an answer back."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.stack import quick_stack
from support.upstream import Edge, access_log, edge

KEY = {"idempotency-key": "k1"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with edge(quick_stack(), tmp_path_factory.mktemp("edge")) as found:
        yield found


@pytest.fixture
def envoy(running: Edge) -> Iterator[Edge]:
    running.fresh()
    running.route(blue=100)
    while not all(server.asked for server in running.servers["blue"]):  # a success forgets earlier failures
        httpx.get(f"{running.url}/v1/whoami")
    running.fresh()
    yield running
    assert running.stat("rds.holdfast.update_rejected") == "0"


@pytest.mark.parametrize(
    ("method", "headers", "attempts"),
    [("POST", {}, 1), ("DELETE", {}, 1), ("GET", {}, 2), ("POST", KEY, 2), ("DELETE", KEY, 2)],
    ids=["POST", "DELETE", "GET", "POST-with-key", "DELETE-with-key"],
)
def test_after_a_reset_only_what_may_be_done_twice_is_retried(
    envoy: Edge, method: str, headers: dict[str, str], attempts: int
) -> None:
    envoy.reset_next("blue")
    answer = httpx.request(method, f"{envoy.url}/v1/chat", headers=headers)
    assert answer.status_code == (503 if attempts == 1 else 200)
    assert len(envoy.asked("blue")) == attempts


def test_an_instance_is_out_after_three_failures_in_a_row_and_the_other_takes_all(tmp_path: Path) -> None:
    with edge(quick_stack(), tmp_path) as envoy:
        envoy.route(blue=100)
        bad, good = envoy.servers["blue"]
        bad.mode = "fail"
        statuses = Counter(httpx.post(f"{envoy.url}/v1/chat").status_code for _ in range(40))
        assert statuses[500] == len(bad.asked) == 3
        assert statuses[200] == len(good.asked) == 37
        bad.mode = "ok"
        assert envoy.stat("cluster.gateway-blue.outlier_detection.ejections_active") == "1"


def test_at_most_half_of_a_color_is_out(tmp_path: Path) -> None:
    with edge(quick_stack(), tmp_path) as envoy:
        envoy.route(blue=100)
        for server in envoy.servers["blue"]:
            server.mode = "fail"
        for _ in range(20):
            httpx.post(f"{envoy.url}/v1/chat")
        for server in envoy.servers["blue"]:
            server.mode = "ok"
        assert {httpx.post(f"{envoy.url}/v1/chat").status_code for _ in range(10)} == {200}


def test_weights_split_the_traffic(envoy: Edge) -> None:
    envoy.route(blue=90, green=10)
    with httpx.Client(base_url=envoy.url) as client:
        seen = Counter(client.get("/v1/whoami").headers["x-holdfast-color"] for _ in range(400))
    assert seen["blue"] + seen["green"] == 400
    assert 10 <= seen["green"] <= 70  # the mean is 40, five standard deviations are 30


def test_a_connection_that_is_kept_moves_at_the_switch(envoy: Edge) -> None:
    with httpx.Client(base_url=envoy.url) as client:
        assert client.get("/v1/whoami").headers["x-holdfast-color"] == "blue"
        for color in ("green", "blue", "green"):
            envoy.route(**{color: 100})
            assert client.get("/v1/whoami").headers["x-holdfast-color"] == color


@pytest.mark.parametrize(
    "request_id", ["11111111-1111-4111-8111-111111111111", "20250101-000000-abcdef-main-1", "x", "a" * 60]
)
def test_a_request_id_passes_unchanged(envoy: Edge, request_id: str) -> None:
    httpx.get(f"{envoy.url}/v1/whoami", headers={"x-request-id": request_id})
    assert [request["x-request-id"] for request in envoy.asked("blue")] == [request_id]


@pytest.mark.parametrize("authority", ["engine.internal", "engine.internal:80", "Engine.INTERNAL"])
@pytest.mark.parametrize("path", ["/", "/holdfast.engine.v1.Engine/Chat"])
def test_a_client_cannot_reach_internal_routes_by_their_authority(envoy: Edge, authority: str, path: str) -> None:
    with socket.create_connection(("127.0.0.1", envoy.ports.edge), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert envoy.asked("blue") == []


def test_events_are_passed_on_one_by_one(envoy: Edge) -> None:
    with httpx.stream("GET", f"{envoy.url}/v1/chat/stream", timeout=10) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: first"  # the server has not written the second yet
        for server in envoy.servers["blue"]:
            server.go_on.set()
        assert [line for line in lines if line] == ["data: second"]


def test_without_a_color_the_edge_says_that_nothing_was_executed(envoy: Edge) -> None:
    answer = httpx.get(f"{envoy.url}/v1/whoami", headers={"x-holdfast-preview": "idle"})
    assert answer.status_code == 503
    assert answer.headers["x-request-executed"] == "no"
    assert answer.json()["error"]["code"] == "NO_COLOR"
    assert envoy.asked("blue") == []


def test_the_access_log_names_the_request_its_cluster_and_its_attempts(envoy: Edge) -> None:
    envoy.reset_next("blue")
    request_id = f"logged-{time.time_ns()}"
    httpx.get(f"{envoy.url}/v1/whoami", headers={"x-request-id": request_id})
    (line,) = access_log(envoy.routes.parent.parent / "access.jsonl", request_id)
    assert (line["listener"], line["cluster"], line["method"], line["status"]) == ("edge", "gateway-blue", "GET", 200)
    assert line["attempts"] == 2
