"""RabbitMQ: a topic exchange, its queues with priorities and a time to live, and a dead-letter queue."""

from __future__ import annotations

import json

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.nodes import nodes
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import RabbitMQ as Plan

PORT = 5672

CONFIG = """listeners.tcp.default = 5672
management.tcp.port = 15672
loopback_users = none
default_user = holdfast
cluster_formation.peer_discovery_backend = classic_config
cluster_partition_handling = pause_minority
consumer_timeout = 1800000
load_definitions = /etc/rabbitmq/definitions.json
disk_free_limit.absolute = 256MB
"""


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"amqp": PORT, "management": 15672, "prometheus": 15692}


def url(name: str, plan: Plan, place: Place) -> m.Sealed:
    """The URL of the broker."""
    return m.Sealed(key=f"{name}-password", form=f"amqp://holdfast:{{}}@{place.host(name)}:{PORT}/")


def definitions(plan: Plan) -> dict[str, object]:
    """Exchanges, queues and bindings. What its time or its retries run out on goes to the dead-letter queue."""
    queues = [
        {
            "name": name,
            "vhost": "/",
            "durable": True,
            "auto_delete": False,
            "arguments": {
                "x-message-ttl": queue.ttl_s * 1000,
                "x-max-priority": queue.max_priority,
                "x-dead-letter-exchange": plan.dead_letter,
            },
        }
        for name, queue in plan.queues.items()
    ]
    left = {"name": plan.dead_letter, "vhost": "/", "durable": True, "auto_delete": False}
    dead = {**left, "arguments": {"x-queue-type": "quorum"}}
    bindings = [_binding(plan.exchange, name, queue.routing) for name, queue in plan.queues.items()]
    return {
        "vhosts": [{"name": "/"}],
        "exchanges": [
            {"name": name, "vhost": "/", "type": "topic", "durable": True, "auto_delete": False, "internal": False}
            for name in (plan.exchange, plan.dead_letter)
        ],
        "queues": [*queues, dead],
        "bindings": [*bindings, _binding(plan.dead_letter, plan.dead_letter, "#")],
    }


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of RabbitMQ."""
    count = place.count(plan.replicas)
    domain = place.host(f"{name}-nodes")
    peers = "".join(
        f"cluster_formation.classic_config.nodes.{number + 1} = rabbit@{name}-{number}.{domain}\n"
        for number in range(count)
    )
    secrets = {"password": m.Sealed(key=f"{name}-password"), "cookie": m.Sealed(key=f"{name}-cookie")}
    password = m.secret(name, place, name, secrets)
    files = {
        "rabbitmq.conf": CONFIG + peers,
        "definitions.json": json.dumps(definitions(plan), indent=1),
        "enabled_plugins": "[rabbitmq_management,rabbitmq_prometheus].\n",
    }
    config = m.config_map(f"{name}-config", place, name, files)
    server = m.container(
        "rabbitmq",
        plan.image,
        place,
        plan.resources,
        probe=m.tcp(PORT),
        live=m.execute("rabbitmq-diagnostics", "-q", "check_running"),
        env={
            "POD_NAME": m.FromField(path="metadata.name"),
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODENAME": f"rabbit@$(POD_NAME).{domain}",
            "RABBITMQ_DEFAULT_PASS": m.FromSecret(secret=m.name_of(password), key="password"),
            "RABBITMQ_ERLANG_COOKIE": m.FromSecret(secret=m.name_of(password), key="cookie"),
        },
        ports=ports(plan),
        mounts={
            "/var/lib/rabbitmq": "data",
            "/var/log/rabbitmq": "logs",
            "/tmp": "tmp",  # noqa: S108
            **{f"/etc/rabbitmq/{file}": f"config:{file}" for file in files},
        },
    )
    volumes = {"config": m.from_config(config), "logs": m.empty(), "tmp": m.empty()}
    made = nodes(
        name,
        place,
        [server],
        ports(plan),
        uid=plan.uid,
        replicas=count,
        claims={"data": plan.storage},
        volumes=volumes,
        inside={"epmd": 4369, "clustering": 25672},
        grace_s=120,
    )
    return [password, config, *made]


def _binding(source: str, queue: str, routing: str) -> dict[str, object]:
    return {
        "source": source,
        "vhost": "/",
        "destination": queue,
        "destination_type": "queue",
        "routing_key": routing,
        "arguments": {},
    }


class RabbitMQ(Component):
    """RabbitMQ, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:RabbitMQ", name, place, manifests(name, plan, place), opts)
