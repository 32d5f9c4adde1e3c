"""Prometheus, Alertmanager and Grafana: they find the stack's pods by themselves, in this namespace only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from holdfast.infra.program import manifest as m
from holdfast.infra.program.component import Component
from holdfast.infra.program.nodes import nodes
from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Monitoring as Plan
from holdfast.infra.program.plans import Resources

PORT = 9090
ALERTS = 9093
GRAFANA = 3000
SCRAPE = "holdfast/metrics-port"
"""Label of pods that have metrics: the port; the path is /metrics."""


def ports(plan: Plan) -> dict[str, int]:
    """The ports that clients reach."""
    return {"prometheus": PORT}


def url(name: str, plan: Plan, place: Place) -> str:
    """The URL of Prometheus."""
    return f"http://{place.host(name)}:{PORT}"


def scraping(name: str, place: Place) -> dict[str, Any]:
    """Prometheus' configuration: pods with the label, color and version as labels of every sample."""
    keep = {"source_labels": ["__meta_kubernetes_pod_label_holdfast_metrics_port"], "regex": "[0-9]+", "action": "keep"}
    address = {
        "source_labels": ["__meta_kubernetes_pod_ip", "__meta_kubernetes_pod_label_holdfast_metrics_port"],
        "separator": ":",
        "target_label": "__address__",
    }
    names = {
        "service": "app_kubernetes_io_name",
        "color": "holdfast_color",
        "version": "app_kubernetes_io_version",
        "environment": "holdfast_environment",
        "region": "holdfast_region",
    }
    labels = [
        {"source_labels": [f"__meta_kubernetes_pod_label_{label}"], "target_label": target}
        for target, label in names.items()
    ]
    pods = {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [place.namespace]}}],
        "relabel_configs": [keep, address, *labels],
    }
    return {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": ["/rules/*.yaml"],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"{place.host(f'{name}-alerts')}:{ALERTS}"]}]}]
        },
        "scrape_configs": [pods],
    }


def manifests(name: str, plan: Plan, place: Place, rules: Mapping[str, str]) -> list[m.Manifest]:
    """The objects. `rules`: file name → the text of Prometheus rules."""
    return [
        *_prometheus(name, plan, place, rules),
        *_alertmanager(f"{name}-alerts", name, plan, place),
        *_grafana(f"{name}-grafana", name, plan, place),
    ]


def _prometheus(name: str, plan: Plan, place: Place, rules: Mapping[str, str]) -> list[m.Manifest]:
    config = m.config_map(
        f"{name}-config", place, name, {"prometheus.yml": json.dumps(scraping(name, place), indent=1)}
    )
    checked = m.config_map(f"{name}-rules", place, name, rules)
    server = m.container(
        "prometheus",
        plan.image,
        place,
        plan.resources,
        probe=m.http("/-/ready", PORT),
        live=m.http("/-/healthy", PORT),
        args=[
            "--config.file=/config/prometheus.yml",
            "--storage.tsdb.path=/data",
            f"--storage.tsdb.retention.time={plan.retention_days}d",
        ],
        ports=ports(plan),
        mounts={"/data": "data", "/config": "config", "/rules": "rules"},
    )
    made = nodes(
        name,
        place,
        [server],
        ports(plan),
        uid=plan.uid,
        replicas=1,
        claims={"data": plan.storage},
        volumes={"config": m.from_config(config), "rules": m.from_config(checked)},
        role="prometheus",
    )
    template = made[1]["spec"]["template"]["spec"]
    template |= {"serviceAccountName": name, "automountServiceAccountToken": True}
    return [*_reader(name, place), config, checked, *made]


def _reader(name: str, place: Place) -> list[m.Manifest]:
    """An account that may list this namespace's pods, and nothing else."""
    rbac = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    subject = {"kind": "ServiceAccount", "name": name, "namespace": place.namespace}
    reference = {"apiGroup": rbac, "kind": "Role", "name": name}
    return [
        m.thing("v1", "ServiceAccount", name, place, name, automountServiceAccountToken=False),
        m.thing(f"{rbac}/v1", "Role", name, place, name, rules=rules),
        m.thing(f"{rbac}/v1", "RoleBinding", name, place, name, roleRef=reference, subjects=[subject]),
    ]


def _alertmanager(full: str, part: str, plan: Plan, place: Place) -> list[m.Manifest]:
    routing = {"route": {"receiver": "none", "group_by": ["alertname"]}, "receivers": [{"name": "none"}]}
    config = m.config_map(f"{full}-config", place, part, {"alertmanager.yml": json.dumps(routing, indent=1)})
    server = m.container(
        "alertmanager",
        plan.alertmanager,
        place,
        Resources(cpu="50m", memory="64Mi", memory_limit="128Mi"),
        probe=m.http("/-/ready", ALERTS),
        live=m.http("/-/healthy", ALERTS),
        args=["--config.file=/config/alertmanager.yml", "--storage.path=/data"],
        ports={"alerts": ALERTS},
        mounts={"/data": "data", "/config": "config"},
    )
    volumes = {"config": m.from_config(config), "data": m.empty()}
    return [config, *_beside(full, part, "alertmanager", place, server, volumes, plan.uid)]


def _grafana(full: str, part: str, plan: Plan, place: Place) -> list[m.Manifest]:
    source = {"name": "Prometheus", "type": "prometheus", "url": url(part, plan, place), "isDefault": True}
    text = json.dumps({"apiVersion": 1, "datasources": [source]}, indent=1)
    config = m.config_map(f"{full}-sources", place, part, {"sources.yaml": text})
    password = m.secret(full, place, part, {"password": m.Sealed(key=f"{full}-password")})
    server = m.container(
        "grafana",
        plan.grafana,
        place,
        Resources(cpu="100m", memory="128Mi", memory_limit="256Mi"),
        probe=m.http("/api/health", GRAFANA),
        env={
            "GF_SECURITY_ADMIN_PASSWORD": m.FromSecret(secret=m.name_of(password), key="password"),
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",
            "GF_PATHS_DATA": "/data",
        },
        ports={"grafana": GRAFANA},
        mounts={"/data": "data", "/etc/grafana/provisioning/datasources": "sources", "/tmp": "tmp"},  # noqa: S108
    )
    volumes = {"sources": m.from_config(config), "data": m.empty("256Mi"), "tmp": m.empty()}
    return [config, password, *_beside(full, part, "grafana", place, server, volumes, 472)]


def _beside(
    full: str,
    part: str,
    role: str,
    place: Place,
    server: Mapping[str, Any],
    volumes: Mapping[str, Mapping[str, Any]],
    uid: int,
) -> list[m.Manifest]:
    labels = {"holdfast/role": role}
    template = m.pod(place, part, [server], uid=uid, volumes=volumes, labels=labels)
    reached = {port["name"]: port["containerPort"] for port in server["ports"]}
    return [
        m.deployment(full, place, part, template, replicas=1, labels=labels),
        m.service(full, place, part, reached, selector=labels),
        m.disruption_budget(full, place, part, labels),
    ]


class Monitoring(Component):
    """Prometheus, Alertmanager and Grafana, as the plan has them."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        place: Place,
        rules: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("holdfast:infra:Monitoring", name, place, manifests(name, plan, place, rules), opts)
