"""What a cluster may run beside the services: one struct a kind of part, told apart by `kind`.

Sizes are Kubernetes quantities ("500m", "1Gi"); schedules are cron lines in UTC; times are seconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Resources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a container asks for, and its limits; a limit that is empty equals the request."""

    cpu: str = "100m"
    memory: str = "128Mi"
    cpu_limit: str = ""
    memory_limit: str = ""


class Backup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scheduled dump onto a volume of its own; `keep` is how many dumps stay."""

    schedule: str = "0 1 * * *"
    keep: int = 7
    storage: str = "10Gi"


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every part has. `uid`: the user that the image runs as; `pull_uid` of 0 would be root and is refused."""

    image: str = ""
    resources: Resources = Resources()
    uid: int = 10001


class Postgres(Part, tag="postgres", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PostgreSQL: a primary with streaming replicas, an operator's resource (CloudNativePG), or an external server.

    `external` needs the connection URL as the secret `NAME-url` of the stack's configuration. `binaries` is the folder
    of initdb, postgres, pg_basebackup where they are not on the image's PATH.
    """

    image: str = "postgres:16.10"
    resources: Resources = Resources(cpu="250m", memory="256Mi", memory_limit="512Mi")
    uid: int = 999
    mode: Literal["statefulset", "operator", "external"] = "statefulset"
    database: str = "holdfast"
    extensions: list[str] = []
    replicas: int = 1
    storage: str = "10Gi"
    settings: dict[str, str] = {}
    backup: Backup | None = Backup()
    binaries: str = ""


class Redis(Part, tag="redis", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Redis: one server, one with replicas, replicas under Sentinels, or a cluster of shards."""

    image: str = "redis:7.4.5"
    resources: Resources = Resources(cpu="100m", memory="128Mi", memory_limit="256Mi")
    uid: int = 999
    mode: Literal["single", "replicated", "sentinel", "cluster"] = "single"
    replicas: int = 1
    sentinels: int = 3
    shards: int = 3
    storage: str = "2Gi"
    settings: dict[str, str] = {}


class Queue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A durable queue bound to the part's exchange by `routing`."""

    routing: str
    ttl_s: int = 600
    max_priority: int = 10


class RabbitMQ(Part, tag="rabbitmq", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """RabbitMQ: a topic exchange, its queues, and a dead-letter exchange with a queue for what is left."""

    image: str = "rabbitmq:4.1.4-management"
    resources: Resources = Resources(cpu="200m", memory="256Mi", memory_limit="512Mi")
    uid: int = 999
    replicas: int = 3
    storage: str = "5Gi"
    exchange: str = "events"
    dead_letter: str = "dead_letters"
    queues: dict[str, Queue] = {}


class MongoDB(Part, tag="mongodb", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A MongoDB replica set; one member for each priority."""

    image: str = "mongo:7.0.24"
    resources: Resources = Resources(cpu="250m", memory="512Mi", memory_limit="1Gi")
    uid: int = 999
    priorities: tuple[int, ...] = (2, 1, 1)
    storage: str = "10Gi"


class MinIO(Part, tag="minio", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """MinIO: object storage over four or more servers, and its buckets."""

    image: str = "minio/minio:RELEASE.2025-04-22T22-12-26Z"
    client_image: str = "minio/mc:RELEASE.2025-04-16T18-13-26Z"
    resources: Resources = Resources(cpu="100m", memory="256Mi", memory_limit="512Mi")
    replicas: int = 4
    storage: str = "10Gi"
    buckets: list[str] = []


class Consul(Part, tag="consul", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Consul servers, and keys that are written once where they are absent."""

    image: str = "hashicorp/consul:1.21.4"
    resources: Resources = Resources(cpu="100m", memory="128Mi", memory_limit="256Mi")
    uid: int = 100
    replicas: int = 3
    storage: str = "1Gi"
    keys: dict[str, str] = {}


class Neo4j(Part, tag="neo4j", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Neo4j server."""

    image: str = "neo4j:5.26.12-community"
    resources: Resources = Resources(cpu="250m", memory="1Gi", memory_limit="2Gi")
    uid: int = 7474
    storage: str = "10Gi"


class Milvus(Part, tag="milvus", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Milvus standalone with etcd and storage of its own."""

    image: str = "milvusdb/milvus:v2.5.18"
    resources: Resources = Resources(cpu="500m", memory="2Gi", memory_limit="4Gi")
    storage: str = "20Gi"


class Elasticsearch(Part, tag="elasticsearch", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Elasticsearch; with Logstash and Kibana where `logstash` and `kibana` name their images."""

    image: str = "docker.elastic.co/elasticsearch/elasticsearch:8.19.4"
    resources: Resources = Resources(cpu="250m", memory="1Gi", memory_limit="2Gi")
    uid: int = 1000
    replicas: int = 3
    storage: str = "20Gi"
    logstash: str = ""
    kibana: str = ""


class InfluxDB(Part, tag="influxdb", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An InfluxDB 2 server with one organisation and bucket."""

    image: str = "influxdb:2.7.12"
    resources: Resources = Resources(cpu="100m", memory="256Mi", memory_limit="512Mi")
    uid: int = 1000
    storage: str = "10Gi"
    organisation: str = "holdfast"
    bucket: str = "metrics"
    retention_days: int = 30


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A path of an API gateway that leads to a service of the stack. Limits of 0 are none."""

    service: str
    paths: list[str]
    jwt: bool = True
    per_minute: int = 0
    per_hour: int = 0
    body_mb: int = 10


class Kong(Part, tag="kong", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Kong without a database: routes, JWT, rate limits and body limits from one immutable file."""

    image: str = "kong:3.9.1"
    resources: Resources = Resources(cpu="250m", memory="512Mi", memory_limit="1Gi")
    uid: int = 1000
    replicas: int = 2
    routes: dict[str, Route] = {}


class Apisix(Part, tag="apisix", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """APISIX in standalone mode: the same routes as Kong's, from one immutable file."""

    image: str = "apache/apisix:3.13.0-debian"
    resources: Resources = Resources(cpu="250m", memory="256Mi", memory_limit="512Mi")
    uid: int = 636
    replicas: int = 2
    routes: dict[str, Route] = {}


class Istio(Part, tag="istio", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Istio's resources for these services: strict mTLS, subsets by color, routes by weight, who may call whom.

    Istio itself must be installed. `retries` are those of connections that failed before the request was sent.
    """

    services: list[str] = []
    retries: int = 2
    outlier_failures: int = 3
    outlier_s: int = 30


class Monitoring(Part, tag="monitoring", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prometheus, Alertmanager and Grafana; the rules of the dashboards folder where it has any."""

    image: str = "prom/prometheus:v3.6.0"
    alertmanager: str = "prom/alertmanager:v0.28.1"
    grafana: str = "grafana/grafana:12.2.0"
    resources: Resources = Resources(cpu="100m", memory="256Mi", memory_limit="512Mi")
    uid: int = 65534
    storage: str = "10Gi"
    retention_days: int = 15


class Jaeger(Part, tag="jaeger", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jaeger, all in one, with OTLP on 4317 and 4318; traces are kept in memory."""

    image: str = "jaegertracing/jaeger:2.10.0"
    resources: Resources = Resources(cpu="100m", memory="256Mi", memory_limit="512Mi")
    max_traces: int = 50000


AnyPart = (
    Postgres
    | Redis
    | RabbitMQ
    | MongoDB
    | MinIO
    | Consul
    | Neo4j
    | Milvus
    | Elasticsearch
    | InfluxDB
    | Kong
    | Apisix
    | Istio
    | Monitoring
    | Jaeger
)
