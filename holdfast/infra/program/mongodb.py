"""A MongoDB replica set: a member for each priority; the first one makes the set."""

from __future__ import annotations

import json

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.nodes import nodes
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import MongoDB as Plan

PORT = 27017
SET = "main"

START = """#!/bin/sh
# Starts this member. The key by which members know each other must be its reader's own file. Pod 0 makes the set.
set -eu
umask 077
cat /sealed/key >/tmp/key
if [ "${POD_NAME##*-}" = 0 ]; then sh /scripts/join.sh & fi
exec mongod --replSet main --bind_ip_all --port 27017 --dbpath /data/db --keyFile /tmp/key
"""

JOIN = """#!/bin/sh
# Makes one set of the members and the first user, once; running again changes nothing. Before there is a user MongoDB
# lets only its own machine in, so this runs beside the first member.
set -eu
export HOME=/tmp
ask() { mongosh --quiet --host 127.0.0.1 "$@"; }
until ask --eval 'db.adminCommand("ping").ok' >/dev/null 2>&1; do sleep 2; done
ask -u holdfast -p "$PASSWORD" --authenticationDatabase admin --eval 'rs.status().ok' >/dev/null 2>&1 && exit 0
ask --eval "try { rs.initiate($MEMBERS) } catch (error) { print(error) }"
until ask --eval 'quit(db.hello().isWritablePrimary ? 0 : 1)'; do sleep 1; done
ask admin --eval 'db.createUser({user: "holdfast", pwd: process.env.PASSWORD, roles: ["root"]})'
"""


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"mongodb": PORT}


def url(name: str, plan: Plan, place: Place) -> m.Sealed:
    """The URL, with all members."""
    hosts = ",".join(f"{host}:{PORT}" for host in members(name, plan, place))
    return m.Sealed(key=f"{name}-password", form=f"mongodb://holdfast:{{}}@{hosts}/?replicaSet={SET}")


def members(name: str, plan: Plan, place: Place) -> list[str]:
    """The DNS name of each member."""
    domain = place.host(f"{name}-nodes")
    return [f"{name}-{number}.{domain}" for number in range(place.count(len(plan.priorities)))]


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of MongoDB."""
    sealed = {"password": m.Sealed(key=f"{name}-password"), "key": m.Sealed(key=f"{name}-key")}
    password = m.secret(name, place, name, sealed)
    scripts = m.config_map(f"{name}-scripts", place, name, {"start.sh": START, "join.sh": JOIN})
    hosts = members(name, plan, place)
    listed = [
        {"_id": number, "host": f"{host}:{PORT}", "priority": plan.priorities[number]}
        for number, host in enumerate(hosts)
    ]
    server = m.container(
        "mongodb",
        plan.image,
        place,
        plan.resources,
        probe=m.tcp(PORT),
        command=["/bin/sh", "/scripts/start.sh"],
        env={
            "POD_NAME": m.FromField(path="metadata.name"),
            "PASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
            "MEMBERS": json.dumps({"_id": SET, "members": listed}),
        },
        ports=ports(plan),
        mounts={"/data/db": "data", "/scripts": "scripts", "/sealed": "sealed", "/tmp": "tmp"},  # noqa: S108
    )
    volumes = {"scripts": m.from_config(scripts), "sealed": m.from_secret(password), "tmp": m.empty()}
    claims = {"data": plan.storage}
    replicas = len(hosts)
    made = nodes(name, place, [server], ports(plan), uid=plan.uid, replicas=replicas, claims=claims, volumes=volumes)
    return [password, scripts, *made]


class MongoDB(Component):
    """A MongoDB replica set, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:MongoDB", name, place, manifests(name, plan, place), opts)
