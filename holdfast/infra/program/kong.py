"""Kong: an API gateway without a database; JWT, rate and body limits of each route from one immutable file."""

from __future__ import annotations

import json
from typing import Any

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.gateway import gateway
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Kong as Plan
from holdfast.infra.program.plans import Route

PORT = 8000


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"proxy": PORT, "metrics": 8100}


def url(name: str, plan: Plan, place: Place) -> str:
    """The URL that clients call."""
    return f"http://{place.host(name)}:{PORT}"


def routes(plan: Plan, place: Place, services: dict[str, int]) -> dict[str, Any]:
    """Kong's declarative configuration; `services` are the ports of the stack's services."""
    return {
        "_format_version": "3.0",
        "services": [
            {
                "name": name,
                "url": f"http://{place.host(route.service)}:{services[route.service]}",
                "retries": 0,
                "routes": [{"name": name, "paths": route.paths, "strip_path": False, "response_buffering": False}],
                "plugins": _plugins(route),
            }
            for name, route in plan.routes.items()
        ],
        "plugins": [{"name": "prometheus"}, {"name": "correlation-id", "config": {"header_name": "x-request-id"}}],
    }


def _plugins(route: Route) -> list[dict[str, Any]]:
    rates = {"minute": route.per_minute, "hour": route.per_hour}
    wanted: dict[str, dict[str, Any]] = {"request-size-limiting": {"allowed_payload_size": route.body_mb}}
    if route.jwt:
        wanted["jwt"] = {"claims_to_verify": ["exp"]}
    if any(rates.values()):
        by = "consumer" if route.jwt else "ip"
        wanted["rate-limiting"] = {
            **{key: rate for key, rate in rates.items() if rate},
            "policy": "local",
            "limit_by": by,
        }
    return [{"name": name, "config": config} for name, config in wanted.items()]


def manifests(name: str, plan: Plan, place: Place, services: dict[str, int]) -> list[m.Manifest]:
    """The objects of Kong. The issuer of tokens and its key are a Secret, which Kong reads beside the routes."""
    config = m.config_map(
        f"{name}-routes", place, name, {"kong.yml": json.dumps(routes(plan, place, services), indent=1)}
    )
    issuer = (
        '{"_format_version":"3.0","consumers":[{"username":"users","jwt_secrets":[{"key":"users","secret":"{}"}]}]}'
    )
    key = m.secret(f"{name}-issuer", place, name, {"issuer.yml": m.Sealed(key=f"{name}-issuer", form=issuer)})
    server = m.container(
        "kong",
        plan.image,
        place,
        plan.resources,
        probe=m.http("/status/ready", 8100),
        live=m.http("/status", 8100),
        command=["/bin/sh", "-c", MERGE],
        env={
            "KONG_DATABASE": "off",
            "KONG_DECLARATIVE_CONFIG": "/tmp/kong.yml",  # noqa: S108 - a volume of the pod
            "KONG_PREFIX": "/kong",
            "KONG_PROXY_LISTEN": f"0.0.0.0:{PORT}",
            "KONG_ADMIN_LISTEN": "off",
            "KONG_STATUS_LISTEN": "0.0.0.0:8100",
            "KONG_PROXY_ACCESS_LOG": "/dev/stdout",
            "KONG_PROXY_ERROR_LOG": "/dev/stderr",
            "KONG_NGINX_WORKER_PROCESSES": "1",
        },
        ports=ports(plan),
        mounts={"/routes": "routes", "/sealed": "sealed", "/kong": "prefix", "/tmp": "tmp"},  # noqa: S108
        prestop_s=5,
    )
    volumes = {
        "routes": m.from_config(config),
        "sealed": m.from_secret(key),
        "prefix": m.empty("256Mi"),
        "tmp": m.empty(),
    }
    return [config, key, *gateway(name, plan, place, server, ports(plan), volumes)]


MERGE = """set -eu
# one file of two: without the last brace of the one and the first of the other
sed '$ s/}$//' /routes/kong.yml >/tmp/kong.yml
sed 's/^{"_format_version":"3.0"//' /sealed/issuer.yml >>/tmp/kong.yml
exec /docker-entrypoint.sh kong docker-start
"""


class Kong(Component):
    """Kong, as the plan has it."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        place: Place,
        services: dict[str, int],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("holdfast:infra:Kong", name, place, manifests(name, plan, place, services), opts)
