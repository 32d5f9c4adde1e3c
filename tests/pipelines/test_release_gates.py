"""The verdicts around a switch: each with the planted failure that it must catch (CD-4)."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from holdfast.infra.stack import Health, load_stack
from holdfast.infra.target import Address
from holdfast.ledger import ACKNOWLEDGED, Offered, Request, Settled
from holdfast.pipelines.release_gates import MIN_ANSWERS, ReleaseTraffic, healthy, live_errors, right_color
from holdfast.run import History
from holdfast.verdict import Outcome


class _Answering(http.server.BaseHTTPRequestHandler):
    """/healthz answers at once, /slow after 0.3 s, anything else 503."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(0.3)
        self.send_response(200 if self.path in ("/healthz", "/slow") else 503)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def instance() -> Iterator[Address]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    port = server.server_address[1]
    yield Address(
        instance="gateway-green-1",
        service="gateway",
        color="green",
        host="127.0.0.1",
        port=int(port),
        probe=f"http://127.0.0.1:{port}",
    )
    server.shutdown()
    server.server_close()
    thread.join(5)


def _traffic(instance: Address, health: Health) -> ReleaseTraffic:
    stack = load_stack("sparkle")
    stack = msgspec.structs.replace(stack, release=msgspec.structs.replace(stack.release, health=health))
    target = SimpleNamespace(addresses=lambda _: [instance])
    return cast(ReleaseTraffic, SimpleNamespace(stack=stack, target=target))


@pytest.mark.parametrize(
    ("health", "outcome"),
    [
        (Health(path="/healthz", within_s=0.5), Outcome.PASS),
        (Health(path="/slow", within_s=0.1), Outcome.FAIL),
        (Health(path="/broken", within_s=0.5), Outcome.FAIL),
    ],
)
def test_every_instance_must_answer_health_in_time(instance: Address, health: Health, outcome: Outcome) -> None:
    verdict = healthy(_traffic(instance, health), {"gateway": "green"})
    assert verdict.outcome is outcome
    assert (instance.instance in verdict.because) == (outcome is Outcome.FAIL)


def _history(colors: list[str]) -> History:
    requests = [
        Request(
            offered=Offered(id=f"r-{n}", route="whoami", key=None, effect=False, intended=n, sent=n),
            settled=Settled(id=f"r-{n}", at=n + 1, state=ACKNOWLEDGED, status=200, color=color),
        )
        for n, color in enumerate(colors)
    ]
    return cast(History, SimpleNamespace(requests=requests))


@pytest.mark.parametrize(
    ("colors", "outcome"),
    [
        (["green"] * 5, Outcome.PASS),
        (["green"] * 4 + ["blue"], Outcome.UNKNOWN),
        ([""] * 5, Outcome.UNKNOWN),
        ([], Outcome.UNKNOWN),
    ],
)
def test_a_preview_that_was_answered_by_another_color_has_proven_nothing(colors: list[str], outcome: Outcome) -> None:
    assert right_color(_history(colors), "green").outcome is outcome


@pytest.mark.parametrize(
    ("answers", "errors", "outcome"),
    [
        (1000, 0, Outcome.PASS),
        (1000, 10, Outcome.PASS),
        (1000, 11, Outcome.FAIL),
        (MIN_ANSWERS - 1, 0, Outcome.UNKNOWN),
        (MIN_ANSWERS - 1, 40, Outcome.FAIL),
        (0, 0, Outcome.UNKNOWN),
    ],
)
def test_the_live_color_is_judged_by_what_the_edge_counted(answers: int, errors: int, outcome: Outcome) -> None:
    assert live_errors((answers, errors), "green", 0.01).outcome is outcome
