"""The Kubernetes objects that a new cluster begins with: DNS and metrics as Services, their rights, a storage class."""

from __future__ import annotations

import base64
from typing import Any

from holdfast.infra.targets.cluster.local.layout import DNS_SERVICE, METRICS_PORT, NODE_ADDRESS

Object = dict[str, Any]
SYSTEM = "kube-system"
RBAC = "rbac.authorization.k8s.io"


def all_objects(authority: bytes) -> list[Object]:
    """Every object. `authority`: the PEM certificate that signed the metrics server's."""
    return [*kubelet_rights(), *dns(), *metrics(authority), storage_class()]


def kubelet_rights() -> list[Object]:
    """The API server may call the kubelet (logs, exec, port-forward)."""
    return [_bind("holdfast:kubelet-api", "system:kubelet-api-admin", "kube-apiserver-kubelet")]


def dns() -> list[Object]:
    """kube-dns in front of CoreDNS, which runs on the node."""
    ports = [("dns", "UDP", 53, 53), ("dns-tcp", "TCP", 53, 53)]
    resources = ["endpoints", "services", "pods", "namespaces"]
    rules = [_rule("", resources, ["list", "watch"]), _rule("discovery.k8s.io", ["endpointslices"], ["list", "watch"])]
    return [
        _role("holdfast:coredns", rules),
        _bind("holdfast:coredns", "holdfast:coredns", "system:coredns"),
        *_node_service("kube-dns", ports, clusterIP=DNS_SERVICE),
    ]


def metrics(authority: bytes) -> list[Object]:
    """metrics.k8s.io, served by the metrics server on the node; readers of a namespace may read its metrics."""
    user = "system:metrics-server"
    read = ["get", "list", "watch"]
    aggregate = {f"{RBAC}/aggregate-to-{role}": "true" for role in ("view", "edit", "admin")}
    reader = _role("system:aggregated-metrics-reader", [_rule("metrics.k8s.io", ["pods", "nodes"], read)])
    reader["metadata"]["labels"] = aggregate
    rules = [_rule("", ["nodes/metrics"], ["get"]), _rule("", ["pods", "nodes"], read)]
    authentication = _bind("holdfast:metrics-authentication", "extension-apiserver-authentication-reader", user)
    authentication["kind"], authentication["metadata"]["namespace"] = "RoleBinding", SYSTEM
    authentication["roleRef"]["kind"] = "Role"
    service = {
        "service": {"name": "metrics-server", "namespace": SYSTEM, "port": 443},
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "caBundle": base64.b64encode(authority).decode("ascii"),
    }
    return [
        reader,
        _role(user, rules),
        _bind(user, user, user),
        _bind("holdfast:metrics-delegator", "system:auth-delegator", user),
        authentication,
        *_node_service("metrics-server", [("https", "TCP", 443, METRICS_PORT)]),
        _object("apiregistration.k8s.io/v1", "APIService", "v1beta1.metrics.k8s.io") | {"spec": service},
    ]


def storage_class() -> Object:
    """Folders of this machine, made and removed on demand."""
    found = _object("storage.k8s.io/v1", "StorageClass", "standard")
    found["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    return found | {"provisioner": "kubernetes.io/host-path", "reclaimPolicy": "Delete"}


def _node_service(name: str, ports: list[tuple[str, str, int, int]], **spec: str) -> list[Object]:
    """A Service whose one endpoint is the node. `ports`: name, protocol, the Service's port, the node's port."""
    service = _object("v1", "Service", name, SYSTEM)
    service["spec"] = spec | {
        "ports": [
            {"name": port, "protocol": protocol, "port": outer, "targetPort": inner}
            for port, protocol, outer, inner in ports
        ]
    }
    endpoints = _object("discovery.k8s.io/v1", "EndpointSlice", f"{name}-node", SYSTEM)
    endpoints["metadata"]["labels"] = {
        "kubernetes.io/service-name": name,
        "endpointslice.kubernetes.io/managed-by": "holdfast",
    }
    endpoints["addressType"] = "IPv4"
    endpoints["endpoints"] = [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}]
    endpoints["ports"] = [{"name": port, "protocol": protocol, "port": inner} for port, protocol, _, inner in ports]
    return [service, endpoints]


def _object(version: str, kind: str, name: str, namespace: str = "") -> Object:
    metadata: Object = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _role(name: str, rules: list[Object]) -> Object:
    return _object(f"{RBAC}/v1", "ClusterRole", name) | {"rules": rules}


def _rule(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _bind(name: str, role: str, user: str) -> Object:
    return _object(f"{RBAC}/v1", "ClusterRoleBinding", name) | {
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }
