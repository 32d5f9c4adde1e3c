"""What the client concludes from an answer, or from none."""

from __future__ import annotations

import socket

import pytest
from support.load import Loaded, PlanOf, Server

from holdfast.ledger import ACCEPTED, ACKNOWLEDGED, FAILED, UNKNOWN, read_ledger
from holdfast.load.worker import run_load
from holdfast.run import Run

KEYED = {"method": "POST", "body": {"message": "question {n}"}, "idempotency_key": True, "effect": True}
UNKEYED = {"method": "POST", "body": {"message": "question {n}"}, "effect": True}


@pytest.mark.parametrize(
    ("path", "state", "status"),
    [
        ("/plain", ACKNOWLEDGED, 200),
        ("/accepted", ACCEPTED, 202),
        ("/refused", FAILED, 404),
        ("/failing", UNKNOWN, 500),
        ("/not-executed", FAILED, 503),
        ("/until-eof", ACKNOWLEDGED, 200),
        ("/reset", UNKNOWN, 0),
    ],
)
def test_an_answer_is_read_in_the_ledgers_words(loaded: Loaded, path: str, state: str, status: int) -> None:
    requests = loaded(path, route=UNKEYED)
    assert {r.state for r in requests} == {state}
    assert {r.settled.status for r in requests if r.settled} == {status}
    assert len(requests) == 20


def test_a_kept_connection_closed_while_idle_is_tried_once_more_if_the_request_may_be(
    loaded: Loaded, server: Server
) -> None:
    requests = loaded("/idle-close", route=KEYED)
    assert {r.state for r in requests} == {ACKNOWLEDGED}
    again = [r for r in requests if r.settled and r.settled.detail]
    assert again
    assert all("sent again" in r.settled.detail for r in again if r.settled)
    tries = [each for each in server.seen("/idle-close") if each["x-request-id"] == again[0].id]
    assert len(tries) == 2
    assert {each["idempotency-key"] for each in tries} == {f"k-{again[0].id}"}
    assert tries[0]["connection"] != tries[1]["connection"]


def test_without_a_key_the_same_request_is_unknown_and_sent_once(loaded: Loaded, server: Server) -> None:
    requests = loaded("/idle-close", route=UNKEYED)
    open_ones = {r.id for r in requests if r.state == UNKNOWN}
    assert open_ones
    assert {r.state for r in requests} == {ACKNOWLEDGED, UNKNOWN}
    sent = [each["x-request-id"] for each in server.seen("/idle-close") if each["x-request-id"] in open_ones]
    assert sorted(sent) == sorted(open_ones)


def test_a_safe_request_needs_no_key_to_be_tried_once_more(loaded: Loaded) -> None:
    assert {r.state for r in loaded("/idle-close")} == {ACKNOWLEDGED}


def test_a_keyed_request_cut_off_on_a_new_connection_is_not_sent_again(loaded: Loaded, server: Server) -> None:
    requests = loaded("/reset", route=KEYED, connections={"fresh": 1.0})
    assert {r.state for r in requests} == {UNKNOWN}
    ids = {r.id for r in requests}
    assert sum(each["x-request-id"] in ids for each in server.seen("/reset")) == len(requests)


def test_an_announced_close_is_honoured(loaded: Loaded, server: Server) -> None:
    requests = loaded("/announced-close", route=UNKEYED)
    assert {r.state for r in requests} == {ACKNOWLEDGED}
    ids = {r.id for r in requests}
    used = [each["connection"] for each in server.seen("/announced-close") if each["x-request-id"] in ids]
    assert len(set(used)) == len(requests)


def test_the_wanted_share_of_requests_opens_a_connection_and_the_rest_keep_theirs(
    loaded: Loaded, server: Server
) -> None:
    requests = loaded("/plain", rate=500, duration="400ms", connections={"fresh": 0.5})
    ids = {r.id for r in requests}
    asked = [each for each in server.seen("/plain") if each["x-request-id"] in ids]
    connections = {each["connection"] for each in asked}
    assert 60 <= len(connections) <= 140  # 100 of 200 are meant to be new ones, and a few are kept


def test_no_answer_within_the_timeout_is_unknown(loaded: Loaded) -> None:
    requests = loaded("/silent", timeout="300ms")
    assert {r.state for r in requests} == {UNKNOWN}
    latencies = [r.latency or 0 for r in requests]
    assert min(latencies) >= 300e6
    assert max(latencies) < 600e6
    assert requests[0].settled is not None
    assert requests[0].settled.detail == "no answer within 300ms"


def test_a_refused_connection_is_failed_because_nothing_was_sent(run: Run, plan_of: PlanOf) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = run_load(plan_of(url, {"route": {"kind": "http", "path": "/", **KEYED}}))
    requests = read_ledger(run.path / "ledger.jsonl")
    assert {r.state for r in requests} == {FAILED}
    assert len(requests) == 20
    assert "refused" in requests[0].settled.detail if requests[0].settled else False
    assert result["routes"]["route"]["errors"] == 20


def test_starts_beyond_the_pool_are_queued_and_those_never_sent_are_named(loaded: Loaded) -> None:
    requests = loaded("/silent", connections={"max": 2}, timeout="5s", drain=0.3)
    never = [r for r in requests if r.offered.sent == 0]
    assert len(requests) == 20
    assert len(never) == 18
    assert {r.state for r in never} == {FAILED}
    assert {r.state for r in requests if r.offered.sent} == {UNKNOWN}


def test_a_busy_pool_serves_its_queue_in_order(loaded: Loaded) -> None:
    requests = loaded("/plain", rate=2000, connections={"max": 1, "fresh": 0.5})
    assert {r.state for r in requests} == {ACKNOWLEDGED}
    sent = [r.offered.sent for r in requests]
    assert sent == sorted(sent)


def test_every_request_carries_its_ids_and_the_plans_headers(loaded: Loaded, server: Server, run: Run) -> None:
    requests = loaded("/plain", route=KEYED, headers={"X-Holdfast-Preview": "idle"})
    asked = {r["x-request-id"]: r for r in server.seen("/plain") if r["x-request-id"].startswith(run.id)}
    for n, request in enumerate(requests, start=1):
        assert request.id == f"{run.id}-main-{n}"
        one = asked[request.id]
        assert one["idempotency-key"] == request.offered.key == f"k-{request.id}"
        assert one["x-holdfast-preview"] == "idle"
        assert one["body"] == f'{{"message":"question {n}"}}'
        assert len(one["traceparent"]) == 55
        assert request.settled is not None
        assert (request.settled.color, request.settled.instance) == ("blue", "test#1")
    assert len({each["traceparent"] for each in asked.values()}) == len(asked)
