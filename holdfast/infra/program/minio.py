"""MinIO: object storage over several servers, and its buckets."""

from __future__ import annotations

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.nodes import nodes
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import MinIO as Plan
from holdfast.infra.program.plans import Resources

PORT = 9000

BUCKETS = """#!/bin/sh
# Makes the buckets that are absent.
set -eu
export MC_CONFIG_DIR=/tmp/mc
until mc alias set here "$ENDPOINT" holdfast "$PASSWORD" >/dev/null; do echo "waiting for $ENDPOINT"; sleep 2; done
for bucket in $BUCKETS; do mc mb --ignore-existing "here/$bucket"; done
"""


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"s3": PORT, "console": 9001}


def url(name: str, plan: Plan, place: Place) -> m.Sealed:
    """The URL with the user and its secret."""
    return m.Sealed(key=f"{name}-password", form=f"http://holdfast:{{}}@{place.host(name)}:{PORT}")


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of MinIO."""
    count = place.count(plan.replicas)
    domain = place.host(f"{name}-nodes")
    several = f"http://{name}-{{0...{count - 1}}}.{domain}:{PORT}/data"
    password = m.secret(name, place, name, {"password": m.Sealed(key=f"{name}-password")})
    server = m.container(
        "minio",
        plan.image,
        place,
        plan.resources,
        probe=m.http("/minio/health/ready", PORT),
        live=m.http("/minio/health/live", PORT),
        args=["server", "--console-address", ":9001", several if count > 1 else "/data"],
        env={
            "MINIO_ROOT_USER": "holdfast",
            "MINIO_ROOT_PASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
            "MINIO_PROMETHEUS_AUTH_TYPE": "public",
        },
        ports=ports(plan),
        mounts={"/data": "data", "/tmp": "tmp"},  # noqa: S108
    )
    claims = {"data": plan.storage}
    volumes = {"tmp": m.empty()}
    made = nodes(name, place, [server], ports(plan), uid=plan.uid, replicas=count, claims=claims, volumes=volumes)
    return [password, *made, *(_buckets(name, plan, place, password) if plan.buckets else [])]


def _buckets(name: str, plan: Plan, place: Place, password: m.Manifest) -> list[m.Manifest]:
    script = m.config_map(f"{name}-scripts", place, name, {"buckets.sh": BUCKETS})
    client = m.container(
        "buckets",
        plan.client_image,
        place,
        Resources(cpu="50m", memory="64Mi", memory_limit="128Mi"),
        probe=None,
        command=["/bin/sh", "/scripts/buckets.sh"],
        env={
            "ENDPOINT": f"http://{place.host(name)}:{PORT}",
            "BUCKETS": " ".join(plan.buckets),
            "PASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
        },
        mounts={"/scripts": "scripts", "/tmp": "tmp"},  # noqa: S108
    )
    volumes = {"scripts": m.from_config(script), "tmp": m.empty()}
    role = {"holdfast/role": "buckets"}
    template = m.pod(place, name, [client], uid=plan.uid, volumes=volumes, labels=role, restart="OnFailure")
    return [script, m.job(f"{name}-buckets", place, name, template)]


class MinIO(Component):
    """MinIO, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:MinIO", name, place, manifests(name, plan, place), opts)
