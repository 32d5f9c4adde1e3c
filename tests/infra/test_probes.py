"""What a color's answer at the edge counts for, and where an instance is probed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from holdfast.infra.edge.routes import COLOR_HEADER
from holdfast.infra.probes import edge_color
from holdfast.infra.target import Address


@contextmanager
def answering(status: int, color: str) -> Iterator[int]:
    """A server whose every answer has this status and color; yields its port."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if color:
                self.send_header(COLOR_HEADER, color)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize(
    ("status", "color", "seen"),
    [(200, "blue", "blue"), (404, "green", "green"), (500, "blue", ""), (503, "blue", ""), (200, "", "")],
)
def test_a_color_counts_only_with_an_answer_that_is_no_failure(status: int, color: str, seen: str) -> None:
    with answering(status, color) as port:
        assert edge_color("127.0.0.1", port, "/healthz") == seen
    assert edge_color("127.0.0.1", port, "/healthz") == ""


def test_the_port_of_a_probe_is_a_number_of_its_own() -> None:
    address = Address(instance="a-1", service="a", color="blue", host="h", port=1, probe="http://127.0.0.1:15123")
    assert (address.port, address.probe_port) == (1, 15123)
