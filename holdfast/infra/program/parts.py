"""The kinds of parts that a plan can name, each with its module. One more is a struct in plans.py and a line here."""

from __future__ import annotations

from types import ModuleType

from holdfast.infra.program import (
    apisix,
    consul,
    elasticsearch,
    influxdb,
    istio,
    jaeger,
    kong,
    milvus,
    minio,
    mongodb,
    monitoring,
    neo4j,
    plans,
    postgres,
    rabbitmq,
    redis,
)
from holdfast.infra.program.component import Component

PARTS: dict[type[plans.Part], tuple[ModuleType, type[Component]]] = {
    plans.Postgres: (postgres, postgres.Postgres),
    plans.Redis: (redis, redis.Redis),
    plans.RabbitMQ: (rabbitmq, rabbitmq.RabbitMQ),
    plans.MongoDB: (mongodb, mongodb.MongoDB),
    plans.MinIO: (minio, minio.MinIO),
    plans.Consul: (consul, consul.Consul),
    plans.Neo4j: (neo4j, neo4j.Neo4j),
    plans.Milvus: (milvus, milvus.Milvus),
    plans.Elasticsearch: (elasticsearch, elasticsearch.Elasticsearch),
    plans.InfluxDB: (influxdb, influxdb.InfluxDB),
    plans.Kong: (kong, kong.Kong),
    plans.Apisix: (apisix, apisix.Apisix),
    plans.Istio: (istio, istio.Istio),
    plans.Monitoring: (monitoring, monitoring.Monitoring),
    plans.Jaeger: (jaeger, jaeger.Jaeger),
}


def part_ports(part: plans.Part) -> dict[str, int]:
    """The ports of a part that its clients reach; none of Istio, which is in the path of others."""
    module = PARTS[type(part)][0]
    return dict(module.ports(part)) if hasattr(module, "ports") else {}
