"""Jaeger, all in one: takes OTLP, keeps traces in memory, shows them."""

from __future__ import annotations

import json

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Jaeger as Plan

PORT = 4317


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"otlp-grpc": PORT, "otlp-http": 4318, "ui": 16686, "metrics": 8888}


def url(name: str, plan: Plan, place: Place) -> str:
    """Where spans are sent, by gRPC."""
    return f"http://{place.host(name)}:{PORT}"


def config(plan: Plan) -> dict[str, object]:
    """Jaeger's configuration (version 2: an OpenTelemetry collector with a store and a page)."""
    memory = {"some_store": {"memory": {"max_traces": plan.max_traces}}}
    return {
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["jaeger_storage_exporter"]}
            },
        },
        "extensions": {
            "healthcheckv2": {"use_v2": True, "http": {"endpoint": "0.0.0.0:13133"}},
            "jaeger_query": {"storage": {"traces": "some_store"}, "http": {"endpoint": "0.0.0.0:16686"}},
            "jaeger_storage": {"backends": memory},
        },
        "receivers": {
            "otlp": {"protocols": {"grpc": {"endpoint": "0.0.0.0:4317"}, "http": {"endpoint": "0.0.0.0:4318"}}}
        },
        "processors": {"batch": {}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "some_store"}},
    }


def manifests(name: str, plan: Plan, place: Place) -> list[m.Manifest]:
    """The objects of Jaeger."""
    made = m.config_map(f"{name}-config", place, name, {"config.yaml": json.dumps(config(plan), indent=1)})
    labels = {"holdfast/role": "node"}
    server = m.container(
        "jaeger",
        plan.image,
        place,
        plan.resources,
        probe=m.http("/status", 13133),
        args=["--config", "/config/config.yaml"],
        ports=ports(plan),
        mounts={"/config": "config"},
    )
    template = m.pod(place, name, [server], uid=plan.uid, volumes={"config": m.from_config(made)}, labels=labels)
    return [
        made,
        m.deployment(name, place, name, template, replicas=1, labels=labels),
        m.service(name, place, name, ports(plan), selector=labels),
        m.disruption_budget(name, place, name, labels),
    ]


class Jaeger(Component):
    """Jaeger, as the plan has it."""

    def __init__(self, name: str, plan: Plan, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("holdfast:infra:Jaeger", name, place, manifests(name, plan, place), opts)
