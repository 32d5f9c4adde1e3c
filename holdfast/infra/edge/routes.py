"""The route file: one Envoy RouteConfiguration for the edge and for the calls between services.

Envoy watches the file's folder and takes a new file by its rename: all routes of all services move in one act. The
table itself is kept in the configuration's metadata, so that there is one truth about which color is live.

Both kinds of listener share this one configuration. Requests to the edge fall into the virtual host `edge`; calls
between services carry the callee's authority and fall into its virtual host. The edge's listener refuses those
authorities from outside (bootstrap.py).
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from holdfast.infra.stack import Edge, Service, Stack
from holdfast.infra.target import RouteTable

ROUTES_NAME = "holdfast"
COLOR_HEADER = "x-holdfast-color"
PREVIEW_HEADER = "x-holdfast-preview"
PREVIEW = "idle"
"""The value of the preview header."""
IDEMPOTENCY_HEADER = "idempotency-key"
"""A request that carries it may be done twice. Users' clients and the services know these names, so they are fixed."""

RETRIES = {
    "num_retries": 3,
    "per_try_timeout": "0s",
    "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    "host_selection_retry_max_attempts": "3",
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
}
NEVER_EXECUTED = "connect-failure,refused-stream"
"""The request certainly did not reach an instance: retried whatever it is."""
MAYBE_EXECUTED = "connect-failure,refused-stream,reset,retriable-status-codes"
"""Retried only when doing it twice is harmless: a safe method, or an idempotency key."""
MAYBE_EXECUTED_GRPC = "connect-failure,refused-stream,reset,unavailable"


def cluster_name(service: str, color: str) -> str:
    """The name of a color's Envoy cluster."""
    return f"{service}-{color}"


def route_file(stack: Stack, table: RouteTable) -> bytes:
    """Return the content of the file for a table."""
    config = {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": ROUTES_NAME,
        "virtual_hosts": [_edge_host(stack, table), *(_internal_host(stack, name, table) for name in stack.internal())],
        "metadata": {"filter_metadata": {"holdfast": {"table": msgspec.json.encode(table).decode()}}},
    }
    return json.dumps({"version_info": str(table.serial), "resources": [config]}, indent=1).encode()


def read_table(content: bytes) -> RouteTable:
    """Read the table back out of the file."""
    text = json.loads(content)["resources"][0]["metadata"]["filter_metadata"]["holdfast"]["table"]
    return msgspec.json.decode(text, type=RouteTable)


def _edge_host(stack: Stack, table: RouteTable) -> dict[str, Any]:
    edge = stack.edge
    routes = []
    for preview in (True, False):
        colors = _colors(edge.service, table, preview=preview)
        for match, retry_on in _http_kinds(edge):
            for path, timeout in [*((stream, 0.0) for stream in edge.streams), ("/", edge.timeout_s)]:
                routes.append(
                    {
                        "match": {"prefix": path, "headers": [*_preview_match(on=preview), *match]},
                        **_action(edge.service, colors, timeout, retry_on),
                    }
                )
    return {"name": "edge", "domains": ["*"], "routes": routes}


def _http_kinds(edge: Edge) -> list[tuple[list[dict[str, Any]], str]]:
    """Header matches and what may be retried: safe methods, requests with an idempotency key, the rest."""
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}}
    keyed = {"name": IDEMPOTENCY_HEADER, "present_match": True}
    return [([safe], MAYBE_EXECUTED), ([keyed], MAYBE_EXECUTED), ([], NEVER_EXECUTED)]


def _internal_host(stack: Stack, name: str, table: RouteTable) -> dict[str, Any]:
    service: Service = stack.services[name]
    maybe = MAYBE_EXECUTED_GRPC if service.protocol == "grpc" else MAYBE_EXECUTED
    routes = []
    for preview in (True, False):
        colors = _colors(name, table, preview=preview)
        keyed = {"name": IDEMPOTENCY_HEADER, "present_match": True}
        for match, retry_on in (([keyed], maybe), ([], NEVER_EXECUTED)):
            routes.append(
                {
                    "match": {"prefix": "/", "headers": [*_preview_match(on=preview), *match]},
                    **_action(name, colors, 0.0, retry_on),
                }
            )
    return {"name": name, "domains": [service.authority], "routes": routes}


def _preview_match(*, on: bool) -> list[dict[str, Any]]:
    if not on:
        return []
    return [{"name": PREVIEW_HEADER, "string_match": {"exact": PREVIEW}}]


def _colors(service: str, table: RouteTable, *, preview: bool) -> dict[str, int]:
    """Weights by color; a preview without a color of its own falls to none, never to the live one by accident."""
    if preview:
        color = table.preview.get(service)
        return {color: 100} if color else {}
    return {color: weight for color, weight in table.weights.get(service, {}).items() if weight > 0}


def _action(service: str, colors: dict[str, int], timeout: float, retry_on: str) -> dict[str, Any]:
    if not colors:
        return {
            "direct_response": {
                "status": 503,
                "body": {
                    "inline_string": json.dumps({"error": {"code": "NO_COLOR", "message": f"no color of {service}"}})
                },
            },
            "response_headers_to_add": [_header("x-request-executed", "no")],
        }
    clusters = [
        {
            "name": cluster_name(service, color),
            "weight": weight,
            "response_headers_to_add": [_header(f"x-holdfast-color-{service}", color), _header(COLOR_HEADER, color)],
        }
        for color, weight in sorted(colors.items())
    ]
    retry = {**RETRIES, "retry_on": retry_on, "retriable_status_codes": [503]}
    return {
        "route": {
            "weighted_clusters": {"clusters": clusters},
            "timeout": f"{timeout:g}s",
            "retry_policy": retry,
        }
    }


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
