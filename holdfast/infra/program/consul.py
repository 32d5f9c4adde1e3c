"""Consul: servers for discovery and configuration, and keys that are written where they are absent."""

from __future__ import annotations

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.nodes import nodes
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Consul as Plan
from holdfast.infra.program.plans import Resources

PORT = 8500

KEYS = """#!/bin/sh
# Writes each key that is absent (check-and-set with index 0), so that what people changed stays.
set -eu
until consul members >/dev/null 2>&1; do echo "waiting for $CONSUL_HTTP_ADDR"; sleep 2; done
cd /keys
for file in *; do
    [ "$file" = keys.sh ] || consul kv put -cas -modify-index=0 "$(echo "$file" | tr _ /)" "$(cat "$file")" || true
done
"""


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"http": PORT, "dns": 8600}


def url(name: str, plan: Plan, place: Place) -> str:
    """The URL of the HTTP interface."""
    return f"http://{place.host(name)}:{PORT}"


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of Consul. Keys' names are file names here, with _ for /."""
    count = place.count(plan.replicas)
    domain = place.host(f"{name}-nodes")
    joins = [f"-retry-join={name}-{number}.{domain}" for number in range(count)]
    key = m.secret(name, place, name, {"gossip.json": m.Sealed(key=f"{name}-gossip", form='{"encrypt": "{}"}')})
    server = m.container(
        "consul",
        plan.image,
        place,
        plan.resources,
        probe=m.http("/v1/status/leader", PORT),
        command=["consul", "agent", "-server", "-ui", f"-bootstrap-expect={count}", "-data-dir=/consul/data"],
        args=["-config-dir=/consul/sealed", "-client=0.0.0.0", "-bind=0.0.0.0", "-advertise=$(POD_IP)", *joins],
        env={"POD_IP": m.FromField(path="status.podIP")},
        ports=ports(plan),
        mounts={"/consul/data": "data", "/consul/sealed": "sealed", "/tmp": "tmp"},  # noqa: S108
    )
    made = nodes(
        name,
        place,
        [server],
        ports(plan),
        uid=plan.uid,
        replicas=count,
        claims={"data": plan.storage},
        volumes={"sealed": m.from_secret(key), "tmp": m.empty()},
        inside={"server": 8300, "serf": 8301},
    )
    return [key, *made, *(_keys(name, plan, place) if plan.keys else [])]


def _keys(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    files = {key.replace("/", "_"): value for key, value in plan.keys.items()}
    config = m.config_map(f"{name}-keys", place, name, {"keys.sh": KEYS, **files})
    client = m.container(
        "keys",
        plan.image,
        place,
        Resources(cpu="50m", memory="64Mi", memory_limit="128Mi"),
        probe=None,
        command=["/bin/sh", "/keys/keys.sh"],
        env={"CONSUL_HTTP_ADDR": url(name, plan, place)},
        mounts={"/keys": "keys"},
    )
    role = {"holdfast/role": "keys"}
    volumes = {"keys": m.from_config(config)}
    template = m.pod(place, name, [client], uid=plan.uid, volumes=volumes, labels=role, restart="OnFailure")
    return [config, m.job(f"{name}-keys", place, name, template)]


class Consul(Component):
    """Consul, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:Consul", name, place, manifests(name, plan, place), opts)
