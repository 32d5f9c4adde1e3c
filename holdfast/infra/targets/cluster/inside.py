"""A command inside of a pod: one WebSocket to the API server (protocol v5.channel.k8s.io), read to its end or deadline.

The official client opens the socket. Its own reading is not used: it waits without end for a process that says little,
and leaves the connection open when the server closes first.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from holdfast.errors import EnvironmentFailed

OUTPUT = (1, 2)
"""The channels of stdout and stderr."""
STATUS = 3
"""The channel that says how the command ended."""


def run_inside(config: Any, path: str, argv: Sequence[str], container: str, timeout: float) -> str:
    """Run a command by the exec path of a pod; returns what it printed.

    Raises EnvironmentFailed when it could not be run, did not end 0, or not within `timeout` seconds.
    """
    import websocket
    from kubernetes.client import ApiException
    from kubernetes.stream.ws_client import create_websocket, get_websocket_url

    asked = [*(("command", word) for word in argv), ("stdout", "true"), ("stderr", "true")]
    query = urlencode(asked + ([("container", container)] if container else []))
    pod = path.split("/")[-2]
    try:
        url = get_websocket_url(f"{config.host}{path}?{query}", None)  # type: ignore[no-untyped-call]
        socket = create_websocket(config, url, {"authorization": _token(config)} if _token(config) else {})  # type: ignore[no-untyped-call]
        try:
            said, status = _read(socket, time.monotonic() + timeout)
        finally:
            socket.shutdown()
    except (websocket.WebSocketException, ApiException, OSError, ssl.SSLError) as error:
        raise _not_run(pod, argv, str(error)) from error
    if status.get("status") != "Success":
        raise _not_run(pod, argv, said.strip() or str(status.get("message") or f"it did not end within {timeout:g} s"))
    return said


def _read(socket: Any, deadline: float) -> tuple[str, dict[str, Any]]:
    """What was printed, and the status, empty when there was none until the deadline."""
    said, status = b"", b""
    while (left := deadline - time.monotonic()) > 0:
        socket.settimeout(left)
        opcode, frame = socket.recv_data()
        if opcode == 0x8 or not frame:  # closed
            break
        if frame[0] in OUTPUT:
            said += frame[1:]
        elif frame[0] == STATUS:
            status += frame[1:]
            break
    found: dict[str, Any] = json.loads(status) if status else {}
    return said.decode(errors="replace"), found


def _token(config: Any) -> str:
    """The Authorization header where the credentials are a token; a certificate is the socket's own matter."""
    return str(config.get_api_key_with_prefix("authorization") or config.get_api_key_with_prefix("BearerToken") or "")


def _not_run(pod: str, argv: Sequence[str], because: str) -> EnvironmentFailed:
    return EnvironmentFailed(
        f"`{' '.join(argv)}` could not be run in {pod}", because=because, way_out=f"see kubectl describe pod {pod}"
    )
