"""Milvus: a standalone vector store with etcd and file storage of its own."""

from __future__ import annotations

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.nodes import nodes
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Milvus as Plan

PORT = 19530


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"milvus": PORT, "metrics": 9091}


def url(name: str, plan: Plan, place: Place) -> m.Sealed:
    """The URL of the gRPC interface."""
    return m.Sealed(key=f"{name}-password", form=f"http://root:{{}}@{place.host(name)}:{PORT}")


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of Milvus."""
    password = m.secret(name, place, name, {"password": m.Sealed(key=f"{name}-password")})
    etcd = {
        "embedEtcd.yaml": "listen-client-urls: http://127.0.0.1:2379\nadvertise-client-urls: http://127.0.0.1:2379\n"
    }
    config = m.config_map(f"{name}-etcd", place, name, etcd)
    server = m.container(
        "milvus",
        plan.image,
        place,
        plan.resources,
        probe=m.http("/healthz", 9091),
        command=["milvus", "run", "standalone"],
        env={
            "ETCD_USE_EMBED": "true",
            "ETCD_DATA_DIR": "/var/lib/milvus/etcd",
            "ETCD_CONFIG_PATH": "/etc/milvus/embedEtcd.yaml",
            "COMMON_STORAGETYPE": "local",
            "COMMON_SECURITY_AUTHORIZATIONENABLED": "true",
            "COMMON_SECURITY_DEFAULTROOTPASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
        },
        ports=ports(plan),
        mounts={"/var/lib/milvus": "data", "/etc/milvus": "etcd", "/tmp": "tmp"},  # noqa: S108
    )
    volumes = {"etcd": m.from_config(config), "tmp": m.empty("256Mi")}
    claims = {"data": plan.storage}
    made = nodes(name, place, [server], ports(plan), uid=plan.uid, replicas=1, claims=claims, volumes=volumes)
    return [password, config, *made]


class Milvus(Component):
    """Milvus, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:Milvus", name, place, manifests(name, plan, place), opts)
