"""Envoy's bootstrap: listeners, one cluster a color of a service, admin. Only the route file changes afterwards."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.infra.edge.routes import ROUTES_NAME, cluster_name
from holdfast.infra.stack import COLORS, Service, Stack

HTTP_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
PROTOCOL_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class EdgePorts(msgspec.Struct, frozen=True, kw_only=True):
    """Where Envoy listens, and where the instances are: service → color → [(host, port)]."""

    host: str
    edge: int
    admin: int
    internal: dict[str, int]
    endpoints: dict[str, dict[str, list[tuple[str, int]]]]


def bootstrap(stack: Stack, ports: EdgePorts, *, routes: str, access_log: str) -> dict[str, Any]:
    """Return the bootstrap. `routes` is the route file's path, in a folder that holds nothing else that changes."""
    listeners = [_listener(stack, "edge", ports.host, ports.edge, routes, access_log, outside=True)]
    for name, port in ports.internal.items():
        listeners.append(_listener(stack, name, ports.host, port, routes, access_log, outside=False))
    return {
        "node": {"id": "edge", "cluster": stack.name},
        "admin": {"address": _address(ports.host, ports.admin)},
        "static_resources": {
            "listeners": listeners,
            "clusters": [
                _cluster(name, color, service, ports.endpoints[name][color])
                for name, service in stack.services.items()
                for color in COLORS
            ],
        },
        "stats_config": {"use_all_default_tags": True},
    }


def _listener(
    stack: Stack, name: str, host: str, port: int, routes: str, access_log: str, *, outside: bool
) -> dict[str, Any]:
    manager = {
        "@type": HTTP_MANAGER,
        "stat_prefix": name,
        "codec_type": "AUTO",
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "request_id_extension": _request_ids(),
        "always_set_request_id_in_response": False,
        "use_remote_address": True,
        "stream_idle_timeout": "120s",
        "rds": {
            "route_config_name": ROUTES_NAME,
            "config_source": {
                "path_config_source": {"path": routes, "watched_directory": {"path": routes.rpartition("/")[0]}},
                "resource_api_version": "V3",
            },
        },
        "http_filters": [*([_refuse_internal(stack)] if outside and stack.internal() else []), _router()],
        "access_log": [_access_log(access_log, name)],
    }
    return {
        "name": name,
        "address": _address(host, port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _request_ids() -> dict[str, Any]:
    """Leave request ids as they came: by default Envoy writes its tracing decision into their 15th character."""
    return {
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "pack_trace_reason": False,
        }
    }


def _refuse_internal(stack: Stack) -> dict[str, Any]:
    """Clients must not reach a service's internal routes by writing its authority into their requests.

    Envoy looks a virtual host up without regard to case, so the refusal has none either.
    """
    inside = [
        {
            "header": {
                "name": ":authority",
                "string_match": {"prefix": stack.services[name].authority, "ignore_case": True},
            }
        }
        for name in stack.internal()
    ]
    policy = {"permissions": [{"or_rules": {"rules": inside}}], "principals": [{"any": True}]}
    return {
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"action": "DENY", "policies": {"internal-authorities": policy}},
        },
    }


def _router() -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }


def _access_log(path: str, listener: str) -> dict[str, Any]:
    fields = {
        "at": "%START_TIME%",
        "listener": listener,
        "id": "%REQ(X-REQUEST-ID)%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "host": "%UPSTREAM_HOST%",
        "ms": "%DURATION%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": fields},
        },
    }


def _cluster(name: str, color: str, service: Service, endpoints: list[tuple[str, int]]) -> dict[str, Any]:
    """Least-request balancing; an instance is out for 30 s after 3 failures in a row (CD-10), half of them at most."""
    options: dict[str, Any] = {"@type": PROTOCOL_OPTIONS, "explicit_http_config": {"http_protocol_options": {}}}
    if service.protocol == "grpc":
        options["explicit_http_config"] = {"http2_protocol_options": {}}
    return {
        "name": cluster_name(name, color),
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "lb_policy": "LEAST_REQUEST",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "outlier_detection": {
            "consecutive_5xx": 3,
            "consecutive_gateway_failure": 3,
            "enforcing_consecutive_gateway_failure": 100,
            "interval": "1s",
            "base_ejection_time": "30s",
            "max_ejection_time": "30s",
            "max_ejection_percent": 50,
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 8192, "max_pending_requests": 8192, "max_requests": 8192, "max_retries": 256}
            ]
        },
        "load_assignment": {
            "cluster_name": cluster_name(name, color),
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": _address(host, port)}} for host, port in endpoints]}
            ],
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
