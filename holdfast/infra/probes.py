"""Small questions to a process on this machine: is it there, is it ready, what does it count."""

from __future__ import annotations

import http.client
import re
import socket

import msgspec

from holdfast.infra.edge.routes import COLOR_HEADER


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Status (0: no answer), body, headers by their names in lower case, and the reason when there was no answer."""

    status: int
    body: str = ""
    headers: dict[str, str] = {}
    reason: str = ""


def http_get(
    host: str, port: int, path: str, *, timeout: float = 1.0, headers: dict[str, str] | None = None
) -> HttpAnswer:
    """GET on a connection of its own; never raises for what the network does."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        said = {name.lower(): value for name, value in response.getheaders()}
        return HttpAnswer(status=response.status, body=response.read().decode(errors="replace"), headers=said)
    except (OSError, http.client.HTTPException) as error:
        return HttpAnswer(status=0, reason=str(error) or type(error).__name__)
    finally:
        connection.close()


IN_FLIGHT = re.compile(r"^service_in_flight(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


def in_flight(host: str, port: int) -> int:
    """The gauge `service_in_flight` of an instance; 0 when it does not answer."""
    found = IN_FLIGHT.search(http_get(host, port, "/metrics", timeout=0.5).body)
    return int(float(found[1])) if found else 0


def edge_color(host: str, port: int, path: str) -> str:
    """The color that answers a GET at the edge, from its header; empty without one, or with a status of 500 or more.

    Envoy writes the header also into answers of its own, as when it reaches no instance of that color.
    """
    answer = http_get(host, port, path)
    return answer.headers.get(COLOR_HEADER, "") if 0 < answer.status < 500 else ""


def port_is_free(host: str, port: int) -> bool:
    """Whether a process could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def who_listens(port: int) -> str:
    """The process that listens on a port, as `name (process 123)`; a vague word when it cannot be seen."""
    import psutil

    for connection in psutil.net_connections("tcp"):
        address = connection.laddr
        if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
            return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "a process of another user"
