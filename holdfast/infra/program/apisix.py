"""APISIX in standalone mode: the same routes, tokens and limits as Kong's, from one immutable file."""

from __future__ import annotations

import json
from typing import Any

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.gateway import gateway
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Apisix as Plan
from holdfast.infra.program.plans import Route

PORT = 9080

CONFIG = """deployment:
  role: data_plane
  role_data_plane: {config_provider: yaml}
apisix: {node_listen: 9080, enable_admin: false, enable_control: false}
nginx_config: {worker_processes: 1, error_log: /dev/stderr, http: {access_log: /dev/stdout}}
plugin_attr: {prometheus: {export_addr: {ip: 0.0.0.0, port: 9091}}}
"""


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"proxy": PORT, "metrics": 9091}


def url(name: str, plan: Plan, place: Place) -> str:
    """The URL that clients call."""
    return f"http://{place.host(name)}:{PORT}"


def routes(plan: Plan, place: Place, services: dict[str, int]) -> dict[str, Any]:
    """APISIX's routes; `services` are the ports of the stack's services. Tokens are checked with the issuer's key."""
    return {
        "routes": [
            {
                "id": name,
                "uris": [f"{path.rstrip('/')}/*" for path in route.paths] + route.paths,
                "upstream": {
                    "type": "least_conn",
                    "retries": 0,
                    "nodes": {f"{place.host(route.service)}:{services[route.service]}": 1},
                },
                "plugins": _plugins(route),
            }
            for name, route in plan.routes.items()
        ],
        "consumers": [
            {"username": "users", "plugins": {"jwt-auth": {"key": "users", "secret": "$ENV://ISSUER", "exp": 86400}}}
        ],
    }


def _plugins(route: Route) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "client-control": {"max_body_size": route.body_mb * 1024 * 1024},
        "request-id": {"header_name": "x-request-id"},
        "prometheus": {},
    }
    if route.jwt:
        wanted["jwt-auth"] = {}
    window, count = (60, route.per_minute) if route.per_minute else (3600, route.per_hour)
    if count:
        key = "consumer_name" if route.jwt else "remote_addr"
        wanted["limit-count"] = {"count": count, "time_window": window, "key": key, "rejected_code": 429}
    return wanted


def manifests(name: str, plan: Plan, place: Place, services: dict[str, int]) -> list[m.Manifest]:
    """The objects of APISIX."""
    text = json.dumps(routes(plan, place, services), indent=1) + "\n#END\n"
    config = m.config_map(f"{name}-routes", place, name, {"apisix.yaml": text, "config.yaml": CONFIG})
    key = m.secret(f"{name}-issuer", place, name, {"key": m.Sealed(key=f"{name}-issuer")})
    base = "/usr/local/apisix"
    server = m.container(
        "apisix",
        plan.image,
        place,
        plan.resources,
        probe=m.tcp(PORT),
        live=m.http("/apisix/prometheus/metrics", 9091),
        env={"APISIX_STAND_ALONE": "true", "ISSUER": m.FromSecret(secret=m.name_of(key), key="key")},
        ports=ports(plan),
        mounts={f"{base}/conf": "conf", f"{base}/logs": "logs", "/tmp": "tmp"},  # noqa: S108
        prestop_s=5,
    )
    copy = m.container(
        "conf",
        plan.image,
        place,
        plan.resources,
        probe=None,
        command=["/bin/sh", "-c", f"cp -r {base}/conf/. /conf && cp /routes/* /conf/"],
        mounts={"/conf": "conf", "/routes": "routes"},
    )
    volumes = {"routes": m.from_config(config), "conf": m.empty(), "logs": m.empty(), "tmp": m.empty()}
    made = gateway(name, plan, place, server, ports(plan), volumes)
    made[0]["spec"]["template"]["spec"]["initContainers"] = [copy]
    return [config, key, *made]


class Apisix(Component):
    """APISIX, as the plan has it."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        place: Place,
        services: dict[str, int],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("holdfast:infra:Apisix", name, place, manifests(name, plan, place, services), opts)
