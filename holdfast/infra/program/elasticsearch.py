"""Elasticsearch, and beside it Logstash and Kibana where their images are named."""

from __future__ import annotations

from typing import Any

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.nodes import nodes
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Elasticsearch as Plan
from holdfast.infra.program.plans import Resources

PORT = 9200
BEATS = 5044

PIPELINE = """input { beats { port => 5044 } http { port => 8080 } }
output {
  elasticsearch {
    hosts => ["${ELASTIC}"] user => "elastic" password => "${PASSWORD}"
    index => "logs-%{+YYYY.MM.dd}"
  }
}
"""


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {
        "http": PORT,
        **({"beats": BEATS, "logs": 8080} if plan.logstash else {}),
        **({"kibana": 5601} if plan.kibana else {}),
    }


def url(name: str, plan: Plan, place: Place) -> m.Sealed:
    """The URL of the REST interface."""
    return m.Sealed(key=f"{name}-password", form=f"http://elastic:{{}}@{place.host(name)}:{PORT}")


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of Elasticsearch: plain HTTP with a password, behind NetworkPolicies."""
    count = place.count(plan.replicas)
    domain = place.host(f"{name}-nodes")
    names = [f"{name}-{number}" for number in range(count)]
    password = m.secret(name, place, name, {"password": m.Sealed(key=f"{name}-password")})
    single = {"discovery.type": "single-node"}
    several = {
        "cluster.initial_master_nodes": ",".join(names),
        "discovery.seed_hosts": ",".join(f"{node}.{domain}" for node in names),
    }
    server = m.container(
        "elasticsearch",
        plan.image,
        place,
        plan.resources,
        probe=m.tcp(PORT),
        env={
            "node.name": m.FromField(path="metadata.name"),
            "cluster.name": name,
            **(single if count == 1 else several),
            "ELASTIC_PASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
            "xpack.security.enabled": "true",
            "xpack.security.http.ssl.enabled": "false",
            "xpack.security.transport.ssl.enabled": "false",
            "xpack.license.self_generated.type": "basic",
            "node.store.allow_mmap": "false",
            "ES_JAVA_OPTS": "-Xms512m -Xmx512m",
        },
        ports={"http": PORT},
        mounts={
            "/usr/share/elasticsearch/data": "data",
            "/usr/share/elasticsearch/logs": "logs",
            "/usr/share/elasticsearch/config": "config",
            "/tmp": "tmp",  # noqa: S108
        },
    )
    volumes = {"logs": m.empty("256Mi"), "config": m.empty(), "tmp": m.empty("256Mi")}
    copy = m.container(
        "config",
        plan.image,
        place,
        Resources(cpu="50m", memory="64Mi"),
        probe=None,
        command=["/bin/sh", "-c", "cp -r /usr/share/elasticsearch/config/. /config"],
        mounts={"/config": "config"},
    )
    made = nodes(
        name,
        place,
        [server],
        {"http": PORT},
        uid=plan.uid,
        replicas=count,
        claims={"data": plan.storage},
        volumes=volumes,
        inside={"transport": 9300},
        init=[copy],
    )
    return [
        password,
        *made,
        *(_logstash(name, plan, place, password) if plan.logstash else []),
        *(_kibana(name, plan, place, password) if plan.kibana else []),
    ]


def _logstash(name: str, plan: Plan, place: Place, password: m.Manifest) -> list[m.Manifest]:
    config = m.config_map(f"{name}-pipeline", place, name, {"pipeline.conf": PIPELINE})
    server = m.container(
        "logstash",
        plan.logstash,
        place,
        Resources(cpu="200m", memory="512Mi", memory_limit="1Gi"),
        probe=m.tcp(BEATS),
        args=["--path.data", "/data", "-f", "/pipeline/pipeline.conf"],
        env={
            "ELASTIC": f"http://{place.host(name)}:{PORT}",
            "PASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
            "LS_JAVA_OPTS": "-Xms256m -Xmx256m",
            "XPACK_MONITORING_ENABLED": "false",
        },
        ports={"beats": BEATS, "logs": 8080},
        mounts={"/pipeline": "pipeline", "/data": "data", "/tmp": "tmp", "/usr/share/logstash/logs": "tmp:logs"},  # noqa: S108
    )
    volumes = {"pipeline": m.from_config(config), "data": m.empty("1Gi"), "tmp": m.empty()}
    return [config, *_beside(f"{name}-logstash", "logstash", plan, place, name, server, volumes)]


def _kibana(name: str, plan: Plan, place: Place, password: m.Manifest) -> list[m.Manifest]:
    token = m.secret(f"{name}-kibana", place, name, {"token": m.Sealed(key=f"{name}-kibana-token")})
    server = m.container(
        "kibana",
        plan.kibana,
        place,
        Resources(cpu="200m", memory="512Mi", memory_limit="1Gi"),
        probe=m.http("/api/status", 5601),
        env={
            "ELASTICSEARCH_HOSTS": f"http://{place.host(name)}:{PORT}",
            "ELASTICSEARCH_SERVICEACCOUNTTOKEN": m.FromSecret(secret=m.name_of(token), key="token"),
            "PATH_DATA": "/data",
            "LOGGING_ROOT_LEVEL": "warn",
        },
        ports={"kibana": 5601},
        mounts={"/data": "data", "/tmp": "tmp"},  # noqa: S108
    )
    volumes = {"data": m.empty("256Mi"), "tmp": m.empty()}
    return [token, *_beside(f"{name}-kibana", "kibana", plan, place, name, server, volumes)]


def _beside(
    full: str,
    role: str,
    plan: Plan,
    place: Place,
    part: str,
    server: dict[str, Any],
    volumes: dict[str, dict[str, Any]],
) -> list[m.Manifest]:
    labels = {"holdfast/role": role}
    template = m.pod(place, part, [server], uid=plan.uid, volumes=volumes, labels=labels)
    reached = {port["name"]: port["containerPort"] for port in server["ports"]}
    return [
        m.deployment(full, place, part, template, replicas=1, labels=labels),
        m.service(full, place, part, reached, selector=labels),
        m.disruption_budget(full, place, part, labels),
    ]


class Elasticsearch(Component):
    """Elasticsearch, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:Elasticsearch", name, place, manifests(name, plan, place), opts)
