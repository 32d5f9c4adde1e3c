"""A server that behaves and misbehaves by path, as a process of its own, so that a test can freeze or kill it.

/plain /accepted /refused /failing /not-executed: 200, 202, 404, 500, 503 with `x-request-executed: no`.
/silent never answers, /reset closes without an answer, the body of /until-eof ends with its connection,
/announced-close says `Connection: close`, /idle-close closes at the second request of a connection.
/stream, /stream-breaks, /stream-gap, /stream-repeats, /stream-endless, /stream-moves: server-sent events.
/seen: what was asked so far, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.ledger import Request
from holdfast.load.plan import LoadPlan

HEADERS = b"x-holdfast-color: blue\r\nx-service-instance: test#1\r\n"
TOKENS = 4

PlanOf = Callable[..., LoadPlan]
Loaded = Callable[..., list[Request]]


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    pid: int

    def seen(self, path: str) -> list[dict[str, Any]]:
        """The requests for `path`, in the order of their arrival."""
        with urllib.request.urlopen(f"{self.url}/seen", timeout=5) as answer:  # noqa: S310 - http, and ours
            return [each for each in json.load(answer) if each["path"] == path]

    def freeze(self) -> None:
        """Stop its process."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of loopback; it is gone afterwards."""
    child = subprocess.Popen([sys.executable, "-P", str(Path(__file__))], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        yield Server(f"http://127.0.0.1:{port}", child.pid)
    finally:
        child.kill()
        child.wait(10)
        if child.stdout is not None:
            child.stdout.close()


def _answer(status: str, headers: bytes = b"", body: bytes = b"{}") -> bytes:
    length = b"content-length: %d\r\n" % len(body)
    return b"HTTP/1.1 %b\r\n%b%b%b\r\n%b" % (status.encode(), HEADERS, headers, length, body)


FIXED = {
    "/plain": _answer("200 OK"),
    "/accepted": _answer("202 Accepted"),
    "/refused": _answer("404 Not Found"),
    "/failing": _answer("500 Internal Server Error"),
    "/not-executed": _answer("503 Service Unavailable", b"x-request-executed: no\r\n"),
    "/announced-close": _answer("200 OK", b"connection: close\r\n"),
}


class Misbehaving:
    """Answers by path; remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        connection, served = self.connections, 0
        try:
            while request := await _read(reader):
                self.asked.append({**request, "connection": connection})
                served += 1
                if not await self._one(request, served, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, request: dict[str, Any], served: int, writer: asyncio.StreamWriter) -> bool:
        """Answer; False ends the connection."""
        path = request["path"]
        if path == "/seen":
            writer.write(_answer("200 OK", body=json.dumps(self.asked).encode()))
        elif path.startswith("/stream"):
            return await self._stream(request, writer)
        elif path == "/silent":
            await asyncio.sleep(60)
        elif path == "/until-eof":
            writer.write(b"HTTP/1.1 200 OK\r\n" + HEADERS + b"\r\nall of it")
            return False
        elif path == "/reset" or (path == "/idle-close" and served > 1):
            return False
        else:
            writer.write(FIXED.get(path, FIXED["/plain"]))
        return True

    async def _stream(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Tokens 1 to 4, then `done` as 5; each path leaves something out."""
        path, after = request["path"], int(request.get("last-event-id", 0))
        writer.write(b"HTTP/1.1 200 OK\r\n" + HEADERS + b"content-type: text/event-stream\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        tries = sum(each.get("x-request-id") == request.get("x-request-id") for each in self.asked)
        numbers = {"/stream-gap": [1, 2, 4, 5], "/stream-repeats": [1, 2, 2, 3, 4]}.get(path, range(1, TOKENS + 1))
        for number in numbers:
            if number > after:
                _chunk(writer, b": a comment\r\nid: %d\r\nevent: token\r\ndata: {}\r\n\r\n" % number)
                await writer.drain()
            if (path == "/stream-breaks" and number == 2 and tries == 1) or path == "/stream-endless":
                return False
            if path == "/stream-moves" and number == 2 and tries == 1:
                _chunk(writer, b"retry: 300\n\n")
                writer.write(b"0\r\n\r\n")
                return True
        end = [max(numbers) + 1] if path != "/stream-gap" else [6]
        _chunk(writer, b"id: %d\nevent: done\ndata: {}\n\n" % end[0])
        writer.write(b"0\r\n\r\n")
        return True


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


async def _read(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head.strip().split("\r\n")
    method, path, _ = line.split(" ")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return {"method": method, "path": path, "body": body.decode(), **headers}


async def _main() -> None:
    server = await asyncio.start_server(Misbehaving().serve, "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main())
