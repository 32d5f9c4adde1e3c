"""InfluxDB: one server of time series, with an organisation and a bucket."""

from __future__ import annotations

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.nodes import nodes
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import InfluxDB as Plan

PORT = 8086


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"http": PORT}


def url(name: str, plan: Plan, place: Place) -> str:
    """The URL; clients read the token from the part's Secret."""
    return f"http://{place.host(name)}:{PORT}"


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of InfluxDB."""
    sealed = {"password": m.Sealed(key=f"{name}-password"), "token": m.Sealed(key=f"{name}-token")}
    password = m.secret(name, place, name, sealed)
    server = m.container(
        "influxdb",
        plan.image,
        place,
        plan.resources,
        probe=m.http("/health", PORT),
        env={
            "DOCKER_INFLUXDB_INIT_MODE": "setup",
            "DOCKER_INFLUXDB_INIT_USERNAME": "holdfast",
            "DOCKER_INFLUXDB_INIT_PASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
            "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN": m.FromSecret(secret=m.name_of(password), key="token"),
            "DOCKER_INFLUXDB_INIT_ORG": plan.organisation,
            "DOCKER_INFLUXDB_INIT_BUCKET": plan.bucket,
            "DOCKER_INFLUXDB_INIT_RETENTION": f"{plan.retention_days}d",
        },
        ports=ports(plan),
        mounts={"/var/lib/influxdb2": "data", "/etc/influxdb2": "config", "/tmp": "tmp", "/home/influxdb": "home"},  # noqa: S108
    )
    volumes = {"config": m.empty(), "tmp": m.empty(), "home": m.empty()}
    claims = {"data": plan.storage}
    made = nodes(name, place, [server], ports(plan), uid=plan.uid, replicas=1, claims=claims, volumes=volumes)
    return [password, *made]


class InfluxDB(Component):
    """InfluxDB, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:InfluxDB", name, place, manifests(name, plan, place), opts)
