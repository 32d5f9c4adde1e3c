"""A small HTTP server in place of an instance, and an Envoy with holdfast's own configuration in front of it."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from support.services import free_port
from support.stack import wait_until

from holdfast.durable import replace_file
from holdfast.infra.edge.bootstrap import EdgePorts, bootstrap
from holdfast.infra.edge.routes import route_file
from holdfast.infra.stack import COLORS, Stack
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.local.envoy import envoy_unit

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() send a reset."""


class Server(ThreadingHTTPServer):
    """Answers well, fails (500) in mode `fail`, or resets while `resets` is above 0. Remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.mode = "ok"
        self.resets: list[None] = []
        self.asked: list[dict[str, str]] = []
        self.go_on = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is what a test wants."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        server = self.server
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.asked.append({"method": self.command, "path": self.path, **headers})
        if server.resets:
            server.resets.pop()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.close_connection = True
            self.connection.close()
        elif self.path.endswith("/stream"):
            self._stream()
        else:
            self._answer(500 if server.mode == "fail" else 200)

    do_POST = do_DELETE = do_GET

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def _stream(self) -> None:
        """One event at once, the other when the test says so."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._chunk(b"data: first\n\n")
        self.server.go_on.wait(10)
        self._chunk(b"data: second\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""


@dataclass
class Edge:
    """An Envoy whose colors are servers of the test: `servers["blue"]` are two, `servers["green"]` too."""

    stack: Stack
    ports: EdgePorts
    routes: Path
    servers: dict[str, list[Server]]
    table: RouteTable = field(default_factory=RouteTable)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.edge}"

    def route(self, **weights: int) -> None:
        """Put weights of the colors in force and wait until Envoy has taken them."""
        self.table = RouteTable(weights={self.stack.edge.service: weights}, serial=self.table.serial + 1)
        replace_file(self.routes, route_file(self.stack, self.table))
        wait_until(lambda: self.stat("rds.holdfast.version_text") == f'"{self.table.serial}"', "Envoy took the routes")

    def stat(self, ending: str) -> str:
        """The value of the counter whose name ends so."""
        lines = httpx.get(f"http://127.0.0.1:{self.ports.admin}/stats", timeout=5).text.splitlines()
        return next(line.partition(": ")[2] for line in lines if line.partition(": ")[0].endswith(ending))

    def asked(self, color: str) -> list[dict[str, str]]:
        """What the servers of a color were asked."""
        return [request for server in self.servers[color] for request in server.asked]

    def fresh(self) -> None:
        """Forget what was asked; answer well."""
        for server in self.servers["blue"] + self.servers["green"]:
            server.asked.clear()
            server.mode, server.resets = "ok", []
            server.go_on.clear()

    def reset_next(self, color: str) -> None:
        """The next request to a color is reset, by whichever of its servers gets it."""
        shared: list[None] = [None]
        for server in self.servers[color]:
            server.resets = shared


@contextmanager
def edge(stack: Stack, folder: Path) -> Iterator[Edge]:
    """Envoy in front of four small servers."""
    servers: dict[str, list[Server]] = {color: [Server(), Server()] for color in COLORS}
    for server in servers["blue"] + servers["green"]:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    near: dict[str, list[tuple[str, int]]] = {
        color: [("127.0.0.1", server.server_port) for server in servers[color]] for color in COLORS
    }
    ports = EdgePorts(
        host="127.0.0.1",
        edge=free_port(),
        admin=free_port(),
        internal={name: free_port() for name in stack.internal()},
        endpoints=dict.fromkeys(stack.services, near),
    )
    routes = folder / "routes" / "routes.json"
    routes.parent.mkdir(parents=True)
    found = Edge(stack, ports, routes, servers)
    replace_file(routes, route_file(stack, RouteTable()))
    configuration = bootstrap(stack, ports, routes=str(routes), access_log=str(folder / "access.jsonl"))
    unit = envoy_unit(configuration, folder / "bootstrap.json", folder / "edge.log")
    with (folder / "edge.log").open("ab") as log, subprocess.Popen(unit.argv, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: _ready(ports.admin), "Envoy is ready")
            yield found
        finally:
            process.terminate()
            process.wait(10)
            for server in servers["blue"] + servers["green"]:
                server.shutdown()
                server.server_close()


def access_log(path: Path, request_id: str) -> list[dict[str, Any]]:
    """The lines of the access log for one request; the log is flushed on a timer, so wait for it."""

    def lines() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in path.read_text().splitlines()]
        return [line for line in found if line["id"] == request_id]

    wait_until(lines, f"the access log has {request_id}", 15)
    return lines()


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=1).status_code == 200
    except httpx.TransportError:
        return False
