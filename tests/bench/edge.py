"""What the edge costs: GET /v1/whoami by an instance's own address and through Envoy, block by block in turns.

One client with one kept connection, one request at a time, so that the times are those of the path and not of a queue.
Direct requests go to the instances in turns, as Envoy's do. CPU a request is Envoy's own, from /proc/PID/stat: `cpu_us`
with one request at a time, each of which wakes it up twice, `busy` with many at once. Chats through the edge show what
each part of the whole path costs.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bench._result import Result, milliseconds, percentiles_ms, tell
from bench._stack import Bench, cpu_us_per, throw_away

from holdfast.measures import nearest_rank

WHOAMI = b"GET /v1/whoami HTTP/1.1\r\nhost: bench\r\n\r\n"
CHAT = b'{"message":"what does the edge cost?"}'
WARM = 300
AT_ONCE = 16
LIMITS = {"p50_added_ms": 1.0, "p99_added_ms": 10.0, "cpu_us": 300.0}
"""Envoy may add so much to a request. On two idle cores it added 0.2 ms, 0.4 ms, 170 µs; p99 has room for noise."""


@dataclass
class Path:
    """One way to the gateway, and what was seen on it."""

    name: str
    clients: list[Client]
    took: list[int] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)


class Client:
    """A kept connection, one request at a time. Raises AssertionError for an answer that is not 200."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> int:
        """Send a request, read the whole answer, return how long it took in ns."""
        begun = time.perf_counter_ns()
        self._socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._some()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = _length(head)
        while len(body) < length:
            body += self._some()
        took = time.perf_counter_ns() - begun
        assert head.startswith(b"HTTP/1.1 200"), head
        return took

    def _some(self) -> bytes:
        data = self._socket.recv(65536)
        assert data, "the connection was closed"
        return data


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/bench edge", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000, help="on each path, default: %(default)s")
    parser.add_argument("--chats", type=int, default=2_000, help="default: %(default)s")
    parser.add_argument("--blocks", type=int, default=20, help="default: %(default)s")
    given = parser.parse_args()
    tell("starting the stack")
    with throw_away() as bench:
        direct, edge, chat = _paths(bench)
        for path in (direct, edge, chat):
            _block(bench, path, WARM, _request_of(path), record=False)
        for block in range(1, given.blocks + 1):
            for path in (direct, edge) if block % 2 else (edge, direct):
                _block(bench, path, given.requests // given.blocks, _request_of(path))
            _block(bench, chat, given.chats // given.blocks, _request_of(chat))
            tell(f"block {block} of {given.blocks}")
        busy = _busy(bench, given.requests)
    figures = {**figures_of(direct, edge, chat), "busy": busy}
    return Result("edge", figures, {"direct": _absolute(direct)}, shortfalls(figures)).finish()


def figures_of(direct: Path, edge: Path, chat: Path) -> dict[str, Any]:
    """Ratios of the two paths, and the CPU time that a request costs each kind of process."""
    by_address, through = _percentiles(direct.took), _percentiles(edge.took)
    cpu = cpu_us_per({}, edge.cpu_s, len(edge.took))
    return {
        "requests": len(direct.took) + len(edge.took),
        "p50_ratio": round(through[0] / by_address[0], 2),
        "p99_ratio": round(through[1] / by_address[1], 2),
        "p50_added_ms": milliseconds(through[0] - by_address[0]),
        "p99_added_ms": milliseconds(through[1] - by_address[1]),
        "cpu_us": cpu["edge"],
        **percentiles_ms(edge.took),
        "whoami_cpu_us": cpu,
        "chats": len(chat.took),
        "chat": percentiles_ms(chat.took),
        "chat_cpu_us": cpu_us_per({}, chat.cpu_s, len(chat.took)),
    }


def shortfalls(figures: dict[str, Any]) -> list[str]:
    """What costs more than it may."""
    return [f"{name} is {figures[name]} (limit {limit:g})" for name, limit in LIMITS.items() if figures[name] > limit]


def _absolute(path: Path) -> dict[str, Any]:
    return {**percentiles_ms(path.took), "cpu_us": cpu_us_per({}, path.cpu_s, len(path.took))}


def _percentiles(took: Sequence[int]) -> tuple[int, int]:
    return nearest_rank(took, 0.50), nearest_rank(took, 0.99)


def _paths(bench: Bench) -> tuple[Path, Path, Path]:
    """By address, one connection an instance; through the edge, as many; chats through the edge."""
    service = bench.target.stack.edge.service
    addresses = bench.target.addresses({service: "blue"})
    host, _, port = bench.target.edge_url().removeprefix("http://").rpartition(":")
    through = [Client(host, int(port)) for _ in addresses]
    return (
        Path("direct", [Client(each.host, each.port) for each in addresses]),
        Path("edge", through),
        Path("chat", [Client(host, int(port)) for _ in addresses]),
    )


def _request_of(path: Path) -> Callable[[int], bytes]:
    return _chat if path.name == "chat" else lambda _: WHOAMI


def _chat(number: int) -> bytes:
    """A chat with an idempotency key of its own."""
    key = f"bench-{time.monotonic_ns()}-{number}"
    head = f"POST /v1/chat HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\nidempotency-key: {key}\r\n"
    return f"{head}content-length: {len(CHAT)}\r\n\r\n".encode() + CHAT


def _block(bench: Bench, path: Path, count: int, request: Callable[[int], bytes], *, record: bool = True) -> None:
    before = bench.cpu_seconds()
    took = [path.clients[k % len(path.clients)].ask(request(k)) for k in range(count)]
    if record:
        path.took += took
        for name, spent in bench.cpu_seconds().items():
            path.cpu_s[name] = path.cpu_s.get(name, 0.0) + spent - before[name]


def _busy(bench: Bench, count: int) -> dict[str, float]:
    """Many requests at once, as fast as they are answered: Envoy's rate and its CPU time a request."""
    host, _, port = bench.target.edge_url().removeprefix("http://").rpartition(":")

    def ask_many(client: Client) -> None:
        for _ in range(count // AT_ONCE):
            client.ask(WHOAMI)

    clients = [Client(host, int(port)) for _ in range(AT_ONCE)]
    before, begun = bench.cpu_seconds(), time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(ask_many, clients))
    seconds, asked = time.monotonic() - begun, count // AT_ONCE * AT_ONCE
    cpu = {name: spent - before[name] for name, spent in bench.cpu_seconds().items()}
    return {"at_once": AT_ONCE, "rate": round(asked / seconds), "cpu_us": cpu_us_per({}, cpu, asked)["edge"]}


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


if __name__ == "__main__":
    sys.exit(main())
