"""PostgreSQL: a primary with streaming replicas and scheduled dumps, an operator's resource, or an external server."""

from __future__ import annotations

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Backup
from holdfast.infra.program.plans import Postgres as Plan

PORT = 5432
DATA = "/var/lib/postgresql/data"
SOCKETS = "/run/postgresql"

START = """#!/bin/sh
# Starts this pod's server. Pod 0 is the primary, unless the region follows another; the others stream from it.
set -eu
if [ -n "$BINARIES" ]; then PATH="$BINARIES:$PATH"; export PATH; fi
export PGPASSWORD="$PASSWORD"
upstream="${FOLLOW:-$PRIMARY}"
if [ -s "$PGDATA/PG_VERSION" ]; then
    echo "starting on the data that is there"
elif [ "${POD_NAME##*-}" = 0 ] && [ -z "$FOLLOW" ]; then
    printf '%s' "$PASSWORD" >/tmp/password
    rm -rf "$PGDATA.new"
    initdb -D "$PGDATA.new" -U holdfast --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 \\
        --encoding=UTF8 --locale=C --data-checksums
    rm /tmp/password
    printf 'host all all all scram-sha-256\\nhost replication holdfast all scram-sha-256\\n' >>"$PGDATA.new/pg_hba.conf"
    pg_ctl -D "$PGDATA.new" -w -o "-c listen_addresses='' -c unix_socket_directories=/tmp" start
    psql -h /tmp -U holdfast -d postgres -c "CREATE DATABASE \\"$DATABASE\\""
    for extension in $EXTENSIONS; do
        psql -h /tmp -U holdfast -d "$DATABASE" -c "CREATE EXTENSION \\"$extension\\""
    done
    pg_ctl -D "$PGDATA.new" -w -m fast stop
    mv "$PGDATA.new" "$PGDATA"
else
    until pg_isready -q -h "$upstream" -U holdfast -d postgres; do echo "waiting for $upstream"; sleep 2; done
    rm -rf "$PGDATA.new"
    pg_basebackup -h "$upstream" -U holdfast -D "$PGDATA.new" -X stream -c fast -R
    mv "$PGDATA.new" "$PGDATA"
fi
postgres -D "$PGDATA" $SETTINGS &
server=$!
# To PostgreSQL TERM means: wait until the last client has gone. A pod's end is no time for that; INT ends them.
trap 'kill -INT "$server"' TERM INT
wait "$server" || wait "$server"
"""

DUMP = """#!/bin/sh
# One dump in PostgreSQL's own format; whole or not there, because it gets its name when it is done. The newest stay.
set -eu
if [ -n "$BINARIES" ]; then PATH="$BINARIES:$PATH"; export PATH; fi
export PGPASSWORD="$PASSWORD"
name="/backup/$DATABASE-$(date -u +%Y%m%dT%H%M%SZ).dump"
pg_dump -h "$PRIMARY" -U holdfast -d "$DATABASE" -Fc -f "$name.part"
pg_restore --list "$name.part" >/dev/null
mv "$name.part" "$name"
ls -1t /backup/*.dump | tail -n "+$((KEEP + 1))" | while read -r old; do rm "$old"; done
"""

SETTINGS = {
    "listen_addresses": "*",
    "unix_socket_directories": SOCKETS,
    "wal_level": "replica",
    "max_wal_senders": "10",
    "wal_keep_size": "512MB",
    "hot_standby": "on",
    "password_encryption": "scram-sha-256",
}


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"postgres": PORT}


def url(name: str, plan: Plan, place: Place) -> m.Sealed:
    """The URL for reading and writing."""
    if plan.mode == "external":
        return m.Sealed(key=f"{name}-url")
    host = place.host(f"{name}-rw" if plan.mode == "operator" else name)
    return m.Sealed(key=f"{name}-password", form=f"postgresql://holdfast:{{}}@{host}:{PORT}/{plan.database}")


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of PostgreSQL; none but a Secret where the server is somebody else's."""
    match plan.mode:
        case "external":
            return [m.secret(f"{name}-url", place, name, {"url": url(name, plan, place)})]
        case "operator":
            return _operator(name, plan, place)
        case "statefulset":
            return _own(name, plan, place)


def _own(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    password = m.secret(name, place, name, {"password": m.Sealed(key=f"{name}-password")})
    scripts = m.config_map(f"{name}-scripts", place, name, {"start.sh": START, "dump.sh": DUMP})
    ask = "/".join(filter(None, [plan.binaries, "pg_isready"]))
    probe = m.execute(ask, "-q", "-h", SOCKETS, "-U", "holdfast")
    server = m.container(
        "postgres",
        plan.image,
        place,
        plan.resources,
        probe=probe,
        command=["/bin/sh", "/scripts/start.sh"],
        env=_environment(name, plan, place, password),
        ports=ports(plan),
        mounts={"/var/lib/postgresql": "data", "/scripts": "scripts", SOCKETS: "run", "/tmp": "tmp"},  # noqa: S108
    )
    volumes = {"scripts": m.from_config(scripts), "run": m.empty(), "tmp": m.empty(), "shm": m.empty(memory=True)}
    server["volumeMounts"].append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108
    template = m.pod(place, name, [server], uid=plan.uid, volumes=volumes, grace_s=60, labels={"holdfast/role": "node"})
    nodes = {"holdfast/role": "node"}
    first = {**nodes, "apps.kubernetes.io/pod-index": "0"}
    count = place.count(1 + plan.replicas)
    return [
        password,
        scripts,
        m.service(f"{name}-nodes", place, name, ports(plan), selector=nodes, headless=True, unready=True),
        m.stateful_set(
            name,
            place,
            name,
            template,
            replicas=count,
            governing=f"{name}-nodes",
            claims={"data": plan.storage},
            labels=nodes,
        ),
        m.service(name, place, name, ports(plan), selector=first, annotations={m.RELEASE_OWNS: "spec.selector"}),
        m.service(f"{name}-read", place, name, ports(plan), selector=nodes),
        m.disruption_budget(name, place, name, nodes),
        *(_backup(name, plan, plan.backup, place, password, scripts) if plan.backup else []),
    ]


def _environment(name: str, plan: Plan, place: Place, password: m.Manifest) -> dict[str, m.Value]:
    settings = {**SETTINGS, **plan.settings}
    return {
        "PGDATA": DATA,
        "POD_NAME": m.FromField(path="metadata.name"),
        "PASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
        "PRIMARY": place.host(name),
        "FOLLOW": place.follows.get(name, ""),
        "DATABASE": plan.database,
        "EXTENSIONS": " ".join(plan.extensions),
        "BINARIES": plan.binaries,
        "SETTINGS": " ".join(f"-c {key}={value}" for key, value in settings.items()),
    }


def _backup(
    name: str, plan: Plan, backup: Backup, place: Place, password: m.Manifest, scripts: m.Manifest
) -> list[m.Manifest]:
    keys = ("PASSWORD", "PRIMARY", "DATABASE", "BINARIES")
    env = {key: value for key, value in _environment(name, plan, place, password).items() if key in keys}
    dump = m.container(
        "dump",
        plan.image,
        place,
        plan.resources,
        probe=None,
        command=["/bin/sh", "/scripts/dump.sh"],
        env={**env, "KEEP": str(backup.keep)},
        mounts={"/scripts": "scripts", "/backup": "backup", "/tmp": "tmp"},  # noqa: S108
    )
    volumes = {
        "scripts": m.from_config(scripts),
        "backup": {"persistentVolumeClaim": {"claimName": f"{name}-backup"}},
        "tmp": m.empty(),
    }
    role = {"holdfast/role": "backup"}
    template = m.pod(place, name, [dump], uid=plan.uid, volumes=volumes, restart="Never", labels=role)
    return [
        m.claim(f"{name}-backup", place, name, backup.storage),
        m.cron_job(f"{name}-backup", place, name, template, schedule=backup.schedule),
    ]


def _operator(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """CloudNativePG's resources; the operator must be installed."""
    login = {"username": m.Sealed(key=f"{name}-user", form="holdfast"), "password": m.Sealed(key=f"{name}-password")}
    password = m.secret(name, place, name, login) | {"type": "kubernetes.io/basic-auth"}
    spec = {
        "instances": place.count(1 + plan.replicas),
        "imageName": plan.image,
        "storage": {"size": plan.storage, **({"storageClass": place.storage_class} if place.storage_class else {})},
        "resources": m.limits(plan.resources),
        "postgresql": {"parameters": dict(plan.settings)},
        "bootstrap": {
            "initdb": {
                "database": plan.database,
                "owner": "holdfast",
                "secret": {"name": m.name_of(password)},
                "postInitApplicationSQL": [f'CREATE EXTENSION IF NOT EXISTS "{entry}"' for entry in plan.extensions],
            }
        },
    }
    made = [password, m.thing("postgresql.cnpg.io/v1", "Cluster", name, place, name, spec=spec)]
    if plan.backup:
        schedule = {"schedule": f"0 {plan.backup.schedule}", "cluster": {"name": name}, "method": "volumeSnapshot"}
        made.append(m.thing("postgresql.cnpg.io/v1", "ScheduledBackup", name, place, name, spec=schedule))
    return made


class Postgres(Component):
    """PostgreSQL, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:Postgres", name, place, manifests(name, plan, place), opts)
