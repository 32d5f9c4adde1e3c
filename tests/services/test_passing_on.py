"""What the gateway hands to the engine, and how it tells an engine's failures: seen by an engine of the test's own."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import pytest
from services.wire import engine_pb2, engine_pb2_grpc
from support import services

Metadata = dict[str, str]


class RecordingEngine(engine_pb2_grpc.EngineServicer):
    """Remembers the metadata of each call and does what the message says."""

    def __init__(self) -> None:
        self.calls: list[Metadata] = []

    def Chat(self, request: engine_pb2.ChatRequest, context: grpc.ServicerContext) -> engine_pb2.ChatReply:
        self.calls.append({key: str(value) for key, value in context.invocation_metadata()})
        match request.message:
            case "refuse":
                context.set_trailing_metadata((("x-request-executed", "no"),))
                context.abort(grpc.StatusCode.UNAVAILABLE, "no connection to PostgreSQL")
            case "lose":
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            case "break":
                context.abort(grpc.StatusCode.INTERNAL, "a bug")
            case "no host" | "connection failure":
                text = {
                    "no host": "no healthy upstream",
                    "connection failure": "reset reason: remote connection failure",
                }
                context.abort(grpc.StatusCode.UNAVAILABLE, text[request.message])
            case "hang":
                time.sleep(1.5)
        return engine_pb2.ChatReply(answer="yes")

    def ChatStream(
        self, request: engine_pb2.ChatRequest, context: grpc.ServicerContext
    ) -> Iterator[engine_pb2.ChatEvent]:
        self.calls.append({key: str(value) for key, value in context.invocation_metadata()})
        for number in range(1, 5):
            yield engine_pb2.ChatEvent(token=engine_pb2.Token(text=f"t{number}"))
            if request.message == "die once" and number == 2 and len(self.calls) == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            if request.message == "break" and number == 2:
                context.abort(grpc.StatusCode.INTERNAL, "a bug")
        yield engine_pb2.ChatEvent(done=engine_pb2.Done())


@pytest.fixture(scope="module")
def recording() -> Iterator[tuple[RecordingEngine, str]]:
    servicer = RecordingEngine()
    server = grpc.server(ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{services.HOST}:0")
    server.start()
    yield servicer, f"{services.HOST}:{port}"
    server.stop(0).wait(5)


@pytest.fixture(scope="module")
def url(recording: tuple[RecordingEngine, str], folder: Path, redis: services.Redis) -> Iterator[str]:
    config = services.write_config(folder / "impatient.json", chat={"deadline_s": 0.7})
    with services.gateway(folder, recording[1], redis.url, config) as running:
        yield running.url


@pytest.fixture
def calls(recording: tuple[RecordingEngine, str]) -> list[Metadata]:
    recording[0].calls.clear()
    return recording[0].calls


def ask(url: str, message: str = "hello", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{url}/v1/chat", json={"message": message}, headers=named, timeout=10)


def test_ids_and_the_preview_header_are_passed_on(url: str, calls: list[Metadata]) -> None:
    ask(url, x_request_id="r1", idempotency_key="k1", x_holdfast_preview="green").raise_for_status()
    ask(url).raise_for_status()
    assert calls[0] | {"x-request-id": "r1", "idempotency-key": "k1", "x-holdfast-preview": "green"} == calls[0]
    assert not {"idempotency-key", "x-holdfast-preview"} & calls[1].keys()


def test_a_trace_is_continued_with_a_new_span(url: str, calls: list[Metadata]) -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    ask(url, traceparent=f"00-{trace}-{span}-00", tracestate="vendor=1").raise_for_status()
    version, passed_trace, passed_span, flags = calls[0]["traceparent"].split("-")
    assert (version, passed_trace, flags) == ("00", trace, "00")
    assert len(passed_span) == 16
    assert passed_span != span
    assert calls[0]["tracestate"] == "vendor=1"


@pytest.mark.parametrize(
    "invalid",
    [
        "",
        "nonsense",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    ],
)
def test_an_invalid_trace_is_replaced(url: str, calls: list[Metadata], invalid: str) -> None:
    ask(url, traceparent=invalid, tracestate="vendor=1").raise_for_status()
    _, trace, span, _ = calls[0]["traceparent"].split("-")
    assert (len(trace), len(span)) == (32, 16)
    assert trace != "4bf92f3577b34da6a3ce929d0e0e4736"
    assert set(trace) != {"0"}
    assert "tracestate" not in calls[0]


@pytest.mark.parametrize("message", ["refuse", "no host", "connection failure"])
def test_a_chat_that_was_certainly_not_executed_says_so(url: str, calls: list[Metadata], message: str) -> None:
    answer = ask(url, message)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ENGINE_UNAVAILABLE")
    assert answer.headers["x-request-executed"] == "no"


def test_a_chat_that_may_have_been_executed_makes_no_claim(url: str, calls: list[Metadata]) -> None:
    lost, broken, late = ask(url, "lose"), ask(url, "break"), ask(url, "hang")
    assert [lost.status_code, broken.status_code, late.status_code] == [503, 502, 504]
    assert late.json()["error"]["code"] == "DEADLINE"
    assert not any("x-request-executed" in answer.headers for answer in (lost, broken, late))


def test_a_keyed_chat_that_a_proxy_may_have_retried_makes_no_claim(url: str, calls: list[Metadata]) -> None:
    assert "x-request-executed" not in ask(url, "refuse", idempotency_key="k2").headers


def test_an_engine_that_is_not_there_is_a_certain_failure(folder: Path, redis: services.Redis, config: Path) -> None:
    nowhere = f"{services.HOST}:{services.free_port()}"
    with services.gateway(folder, nowhere, redis.url, config) as running:
        begun = time.monotonic()
        answers = [ask(running.url), httpx.get(f"{running.url}/v1/chat/stream", params={"message": "x"}, timeout=10)]
        assert [answer.status_code for answer in answers] == [503, 503]
        assert time.monotonic() - begun < 3
    assert answers[0].headers["x-request-executed"] == "no"


def test_a_stream_goes_on_when_its_engine_dies(url: str, calls: list[Metadata], request_id: str) -> None:
    events = stream(url, "die once", request_id)
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [event.kind for event in events] == ["token"] * 4 + ["done"]
    assert len(calls) == 2
    assert {call["idempotency-key"] for call in calls} == {f"stream:{request_id}"}


def test_a_stream_that_fails_says_so_and_is_not_done(url: str, calls: list[Metadata], request_id: str) -> None:
    events = stream(url, "break", request_id)
    assert [event.kind for event in events] == ["token", "token", "error"]
    assert events[-1].number is None
    assert events[-1].data["code"] == "ENGINE_ERROR"


def stream(url: str, message: str, request_id: str) -> list[services.StreamEvent]:
    answer = httpx.post(f"{url}/v1/chat/stream", json={"message": message}, headers={"x-request-id": request_id})
    return list(services.read_events(answer.text.splitlines()))
