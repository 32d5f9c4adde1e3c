"""Chats through gateway and engine: answers, ids, and exactly one effect for each that is executed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

Effects = Callable[[str], list[str]]


def test_a_chat_is_answered_with_usage_and_who_served_it(client: httpx.Client, request_id: str) -> None:
    answer = client.post("/v1/chat", json={"message": "hello there"}, headers={"x-request-id": request_id})
    body = answer.json()
    assert answer.status_code == 200
    assert body["request_id"] == answer.headers["x-request-id"] == request_id
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + len(body["answer"].split())
    assert body["served_by"]["gateway"] == {"color": "blue", "instance": "gateway-blue-1", "version": "v1"}
    assert body["served_by"]["engine"] == {"color": "blue", "instance": "engine-blue-1", "version": "v1"}
    assert body["replayed"] is False
    assert answer.headers["x-service-instance"] == "gateway-blue-1"
    assert answer.headers["x-service-version"] == "v1"
    assert "connection" not in answer.headers


def test_an_executed_chat_has_one_effect_row(client: httpx.Client, effects: Effects, request_id: str) -> None:
    client.post("/v1/chat", json={"message": "hello"}, headers={"x-request-id": request_id}).raise_for_status()
    assert effects(request_id) == [""]


def test_the_same_message_has_the_same_answer(client: httpx.Client) -> None:
    answers = {client.post("/v1/chat", json={"message": "what is blue?"}).json()["answer"] for _ in range(3)}
    others = {client.post("/v1/chat", json={"message": f"what is {n}?"}).json()["answer"] for n in range(3)}
    assert len(answers) == 1
    assert len(others) == 3


def test_twenty_calls_with_one_key_at_once_have_one_effect(client: httpx.Client, dsn: str, request_id: str) -> None:
    def call(number: int) -> httpx.Response:
        headers = {"idempotency-key": f"key-{request_id}", "x-request-id": f"{request_id}-{number}"}
        return client.post("/v1/chat", json={"message": "only once"}, headers=headers)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(call, range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.json()["replayed"] for answer in answers) == [False] + [True] * 19
    assert len({answer.json()["answer"] for answer in answers}) == 1
    with psycopg.connect(dsn) as connection:
        sql = "SELECT count(*) FROM effects WHERE idempotency_key = %s"
        assert connection.execute(sql, (f"key-{request_id}",)).fetchone() == (1,)


def test_a_key_that_belongs_to_another_message_is_refused(
    client: httpx.Client, effects: Effects, request_id: str
) -> None:
    headers = {"idempotency-key": f"key-{request_id}"}
    client.post("/v1/chat", json={"message": "one"}, headers=headers).raise_for_status()
    answer = client.post("/v1/chat", json={"message": "two"}, headers=headers | {"x-request-id": request_id})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert effects(request_id) == []


def test_who_am_i_asks_nobody(client: httpx.Client) -> None:
    answer = client.get("/v1/whoami", headers={"x-request-id": "me"})
    assert answer.json() == {"id": "me", "color": "blue", "instance": "gateway-blue-1", "version": "v1"}


def test_a_request_without_an_id_gets_one(client: httpx.Client) -> None:
    ids = {client.get("/v1/whoami").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(request_id) == 32 for request_id in ids)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"message": 1}', b'{"message": ""}', b'{"text": "hello"}', b'\xff\xfe{"message": "x"}'],
)
def test_a_body_that_is_no_chat_is_refused(client: httpx.Client, body: bytes) -> None:
    for path in ("/v1/chat", "/v1/chat/stream"):
        answer = client.post(path, content=body)
        assert answer.status_code == 400, path
        assert answer.json()["error"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_one_mebibyte_is_refused(client: httpx.Client, chunked: bool) -> None:
    body = b'{"message": "' + b"x" * 1024 * 1024 + b'"}'
    answer = client.post("/v1/chat", content=iter([body]) if chunked else body)
    assert answer.status_code == 413
    assert client.post("/v1/chat", json={"message": "x" * 1_000_000}).status_code == 200


@pytest.mark.parametrize("header", ["x-request-id", "idempotency-key", "x-holdfast-preview"])
@pytest.mark.parametrize("value", ["x" * 201, "caf\u00e9"])
def test_an_id_that_cannot_be_passed_on_is_refused(client: httpx.Client, header: str, value: str) -> None:
    answer = client.post("/v1/chat", json={"message": "hello"}, headers={header.encode(): value.encode()})
    assert answer.status_code == 400
    assert header in answer.json()["error"]["message"]


def test_unknown_paths_and_methods_are_json_errors(client: httpx.Client) -> None:
    unknown, wrong = client.get("/v1/nothing"), client.delete("/v1/chat")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["allow"] == "POST"


def test_requests_durations_and_tokens_are_counted(client: httpx.Client) -> None:
    before = _samples(client)
    usage = client.post("/v1/chat", json={"message": "count me"}).json()["usage"]
    after = _samples(client)

    def grown(sample: str) -> float:
        return after[sample] - before.get(sample, 0.0)

    assert grown('chat_orchestrator_requests_total{code="200",route="/v1/chat",service="gateway"}') == 1
    assert grown('chat_orchestrator_request_duration_seconds_count{route="/v1/chat",service="gateway"}') == 1
    assert grown('chat_orchestrator_tokens_total{kind="completion",service="gateway"}') == usage["completion_tokens"]
    assert after["service_in_flight"] == after["service_draining"] == 0


def _samples(client: httpx.Client) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
