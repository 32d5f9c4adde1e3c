"""Neo4j: one server of the graph that agents search first."""

from __future__ import annotations

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.nodes import nodes
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Neo4j as Plan

PORT = 7687


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"bolt": PORT, "http": 7474}


def url(name: str, plan: Plan, place: Place) -> m.Sealed:
    """The URL of the Bolt protocol."""
    return m.Sealed(key=f"{name}-password", form=f"bolt://neo4j:{{}}@{place.host(name)}:{PORT}")


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of Neo4j."""
    sealed = m.Sealed(key=f"{name}-password", form="neo4j/{}")
    password = m.secret(name, place, name, {"auth": sealed})
    folders = ("conf", "logs", "plugins", "run", "licenses", "import", "certificates")
    server = m.container(
        "neo4j",
        plan.image,
        place,
        plan.resources,
        probe=m.tcp(PORT),
        live=m.http("/", 7474),
        env={
            "NEO4J_AUTH": m.FromSecret(secret=m.name_of(password), key="auth"),
            "NEO4J_server_default__listen__address": "0.0.0.0",  # noqa: S104 - in its pod
            "NEO4J_server_memory_heap_max__size": "512m",
            "NEO4J_server_memory_pagecache_size": "256m",
        },
        ports=ports(plan),
        mounts={"/data": "data", "/tmp": "tmp", **{f"/var/lib/neo4j/{folder}": folder for folder in folders}},  # noqa: S108
    )
    volumes = {folder: m.empty() for folder in ("tmp", *folders)}
    claims = {"data": plan.storage}
    made = nodes(name, place, [server], ports(plan), uid=plan.uid, replicas=1, claims=claims, volumes=volumes)
    return [password, *made]


class Neo4j(Component):
    """Neo4j, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:Neo4j", name, place, manifests(name, plan, place), opts)
