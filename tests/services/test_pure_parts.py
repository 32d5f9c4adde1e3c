"""The parts that need no process: answers, latency, trace context."""

import statistics

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.common import trace
from services.common.config import Config
from services.engine.answers import Pace, answer_of, tokens_of
from support import services

CONFIG = msgspec.convert(services.read_release()["config"], Config)
PACE = Pace(CONFIG.latency, CONFIG.stream)


def test_thinking_time_has_a_median_of_4_ms_and_a_p99_of_at_most_15_ms() -> None:
    times = sorted(PACE.thinking_s(f"request-{number}") for number in range(10_000))
    assert statistics.median(times) == pytest.approx(0.004, rel=0.05)
    assert 0.010 < times[9_900] <= 0.015
    assert times[-1] <= 0.05


def test_times_are_the_request_s_own() -> None:
    assert PACE.thinking_s("a") == PACE.thinking_s("a") != PACE.thinking_s("b")
    assert PACE.gaps_s("a", 12) == PACE.gaps_s("a", 12) != PACE.gaps_s("b", 12)


@given(message=st.text(min_size=1))
def test_any_message_has_one_answer_and_true_usage(message: str) -> None:
    tokens = tokens_of(message, 12)
    answer = answer_of(message, tokens)
    assert tokens == tokens_of(message, 12)
    assert 9 <= len(tokens) <= 15
    assert answer.answer.split() == [token.strip() for token in tokens]
    assert answer.usage.completion_tokens == len(tokens)
    assert answer.usage.prompt_tokens == -(-len(message.encode()) // 4)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@given(st.text(), st.text())
def test_any_header_gives_a_valid_trace(traceparent: str, tracestate: str) -> None:
    passed, state = trace.child(traceparent, tracestate)
    assert trace.TRACEPARENT.fullmatch(passed)
    assert state is None or trace.TRACEPARENT.fullmatch(traceparent)


def test_a_later_version_of_the_header_is_continued_as_ours() -> None:
    passed, _ = trace.child("42-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None)
    assert passed.startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
