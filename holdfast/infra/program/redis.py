"""Redis: one server, one with replicas, replicas under Sentinels, or a cluster of shards."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Redis as Plan
from holdfast.infra.program.plans import Resources

PORT = 6379
BUS = 16379
SENTINEL = 26379
NODES = {"holdfast/role": "node"}
WATCHERS = {"holdfast/role": "sentinel"}

START = """#!/bin/sh
# Starts this pod's server. Without a Sentinel that knows better, pod 0 is the master and the others follow it.
set -eu
self="$POD_NAME.$NODES"
set -- redis-server /config/redis.conf --requirepass "$PASSWORD" --masterauth "$PASSWORD"
if [ "$MODE" = cluster ]; then
    exec "$@" --cluster-enabled yes --cluster-config-file /data/nodes.conf --cluster-announce-ip "$POD_IP"
fi
if [ "$MODE" = single ]; then exec "$@"; fi
master="$FIRST"
if [ "$MODE" = sentinel ]; then
    export REDISCLI_AUTH="$PASSWORD"
    known=$(timeout 3 redis-cli -h "$SENTINELS" -p 26379 sentinel get-master-addr-by-name main | head -n 1 || true)
    case "$known" in *."$NODES") master="$known" ;; esac
fi
if [ "$self" = "$master" ]; then exec "$@" --replica-announce-ip "$self"; fi
exec "$@" --replica-announce-ip "$self" --replicaof "$master" 6379
"""

WATCH = """#!/bin/sh
# Starts a Sentinel: it writes what it learns into its file, which therefore is a copy.
set -eu
umask 077
[ -s /data/sentinel.conf ] || cat >/data/sentinel.conf <<END
port 26379
dir /data
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $POD_NAME.$SENTINEL_NODES
sentinel monitor main $FIRST 6379 $QUORUM
sentinel auth-pass main $PASSWORD
sentinel down-after-milliseconds main 5000
sentinel failover-timeout main 20000
sentinel parallel-syncs main 1
requirepass $PASSWORD
END
exec redis-server /data/sentinel.conf --sentinel
"""

JOIN = """#!/bin/sh
# Makes one cluster of the nodes, once; running again changes nothing.
set -eu
export REDISCLI_AUTH="$PASSWORD"
list=
for number in $(seq 0 $((COUNT - 1))); do
    host="$SET-$number.$NODES"
    until [ "$(redis-cli -h "$host" ping)" = PONG ]; do echo "waiting for $host"; sleep 2; done
    list="$list $(getent hosts "$host" | cut -d' ' -f1):6379"
done
if redis-cli -h "$SET-0.$NODES" cluster info | grep -q cluster_state:ok; then echo "the cluster is there"; exit 0; fi
redis-cli --cluster create $list --cluster-replicas "$FOLLOWERS" --cluster-yes
"""

SETTINGS = {"appendonly": "yes", "appendfsync": "everysec", "dir": "/data", "maxmemory-policy": "noeviction"}


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"redis": PORT, **({"sentinel": SENTINEL} if plan.mode == "sentinel" else {})}


def url(name: str, plan: Plan, place: Place) -> m.Sealed:
    """The URL: of the master's Service, or of the Sentinels."""
    key = f"{name}-password"
    if plan.mode == "sentinel" and not place.one:
        host = place.host(f"{name}-sentinel")
        return m.Sealed(key=key, form=f"redis+sentinel://:{{}}@{host}:{SENTINEL}/main/0")
    return m.Sealed(key=key, form=f"redis://:{{}}@{place.host(name)}:{PORT}/0")


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of Redis; `size: one` makes every mode a single server."""
    mode = "single" if place.one else plan.mode
    password = m.secret(name, place, name, {"password": m.Sealed(key=f"{name}-password")})
    settings = {**SETTINGS, **plan.settings}
    files = {"redis.conf": "".join(f"{key} {value}\n" for key, value in settings.items())}
    config = m.config_map(
        f"{name}-config", place, name, {**files, "start.sh": START, "watch.sh": WATCH, "join.sh": JOIN}
    )
    counts = {"single": 1, "cluster": plan.shards * (1 + plan.replicas)}
    count = counts.get(mode, 1 + plan.replicas)
    made = [password, config, *_nodes(name, plan, place, mode, count, password, config)]
    if mode == "sentinel":
        made += _sentinels(name, plan, place, password, config)
    if mode == "cluster":
        made.append(_join(name, plan, place, count, password, config))
    return made


def _nodes(
    name: str, plan: Plan, place: Place, mode: str, count: int, password: m.Manifest, config: m.Manifest
) -> list[m.Manifest]:
    reached = {"redis": PORT, **({"bus": BUS} if mode == "cluster" else {})}
    probe = m.tcp(PORT)
    env = _environment(name, plan, place, mode, password)
    server = _container("redis", plan, place, plan.resources, "start.sh", env, reached, probe)
    template = m.pod(
        place, name, [server], uid=plan.uid, labels=NODES, volumes={"config": m.from_config(config, 0o555)}, grace_s=60
    )
    first = {} if mode in ("single", "cluster") else {"apps.kubernetes.io/pod-index": "0"}
    return [
        m.service(f"{name}-nodes", place, name, reached, selector=NODES, headless=True, unready=True),
        m.stateful_set(
            name,
            place,
            name,
            template,
            replicas=count,
            governing=f"{name}-nodes",
            claims={"data": plan.storage},
            labels=NODES,
            together=True,
        ),
        m.service(
            name,
            place,
            name,
            {"redis": PORT},
            selector={**NODES, **first},
            annotations={m.RELEASE_OWNS: "spec.selector"} if first else None,
        ),
        m.disruption_budget(name, place, name, NODES),
    ]


def _sentinels(name: str, plan: Plan, place: Place, password: m.Manifest, config: m.Manifest) -> list[m.Manifest]:
    set_name = f"{name}-sentinel"
    env = _environment(name, plan, place, "sentinel", password)
    env |= {"QUORUM": str(plan.sentinels // 2 + 1), "SENTINEL_NODES": place.host(f"{set_name}-nodes")}
    probe = m.tcp(SENTINEL)
    small = Resources(cpu="50m", memory="64Mi", memory_limit="128Mi")
    server = _container("sentinel", plan, place, small, "watch.sh", env, {"sentinel": SENTINEL}, probe)
    template = m.pod(
        place, name, [server], uid=plan.uid, labels=WATCHERS, volumes={"config": m.from_config(config, 0o555)}
    )
    reached = {"sentinel": SENTINEL}
    return [
        m.service(f"{set_name}-nodes", place, name, reached, selector=WATCHERS, headless=True, unready=True),
        m.stateful_set(
            set_name,
            place,
            name,
            template,
            replicas=plan.sentinels,
            governing=f"{set_name}-nodes",
            claims={"data": "1Gi"},
            labels=WATCHERS,
            together=True,
        ),
        m.service(set_name, place, name, reached, selector=WATCHERS),
        m.disruption_budget(set_name, place, name, WATCHERS),
    ]


def _join(name: str, plan: Plan, place: Place, count: int, password: m.Manifest, config: m.Manifest) -> m.Manifest:
    env: dict[str, m.Value] = {
        "PASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
        "SET": name,
        "NODES": place.host(f"{name}-nodes"),
        "COUNT": str(count),
        "FOLLOWERS": str(plan.replicas),
    }
    small = Resources(cpu="50m", memory="64Mi", memory_limit="128Mi")
    made = m.container(
        "join",
        plan.image,
        place,
        small,
        probe=None,
        command=["/bin/sh", "/config/join.sh"],
        env=env,
        mounts={"/config": "config"},
    )
    role = {"holdfast/role": "join"}
    volumes = {"config": m.from_config(config, 0o555)}
    template = m.pod(place, name, [made], uid=plan.uid, labels=role, volumes=volumes, restart="OnFailure")
    return m.job(f"{name}-join", place, name, template)


def _environment(name: str, plan: Plan, place: Place, mode: str, password: m.Manifest) -> dict[str, m.Value]:
    nodes = place.host(f"{name}-nodes")
    return {
        "MODE": mode,
        "POD_NAME": m.FromField(path="metadata.name"),
        "POD_IP": m.FromField(path="status.podIP"),
        "PASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
        "NODES": nodes,
        "FIRST": place.follows.get(name) or f"{name}-0.{nodes}",
        "SENTINELS": place.host(f"{name}-sentinel"),
    }


def _container(
    name: str,
    plan: Plan,
    place: Place,
    resources: Resources,
    script: str,
    env: m.Env,
    reached: Mapping[str, int],
    probe: Mapping[str, object],
) -> dict[str, object]:
    return m.container(
        name,
        plan.image,
        place,
        resources,
        probe=probe,
        command=["/bin/sh", f"/config/{script}"],
        env=env,
        ports=reached,
        mounts={"/data": "data", "/config": "config"},
    )


class Redis(Component):
    """Redis, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:Redis", name, place, manifests(name, plan, place), opts)
