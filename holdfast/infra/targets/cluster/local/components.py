"""The components: what runs, with which arguments, in the order in which they are started. Paths are those inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.infra.targets.cluster.local.layout import (
    API_PORT,
    DOMAIN,
    INSIDE,
    METRICS_PORT,
    NODE,
    NODE_ADDRESS,
    SERVICES,
    VOLUME_USER,
)

PKI, CONF = f"{INSIDE}/pki", f"{INSIDE}/conf"


@dataclass(frozen=True)
class Component:
    """A process of the cluster. `stage`: 0 before the API server answers, 1 after, 2 when its rights are there."""

    name: str
    argv: tuple[str, ...]
    stage: int = 1
    user: int = 0
    """uid and gid."""


def all_components(programs: Mapping[str, str]) -> list[Component]:
    """Every component. `programs`: name of a program to its path inside."""
    return [
        Component("containerd", (programs["containerd"], f"--config={CONF}/containerd.toml"), stage=0),
        Component("etcd", (programs["etcd"], *etcd()), stage=0),
        Component("kube-apiserver", (programs["kube-apiserver"], *api_server()), stage=0),
        Component(
            "kube-controller-manager",
            (programs["kube-controller-manager"], *controller_manager()),
            user=VOLUME_USER,
        ),
        Component("kube-scheduler", (programs["kube-scheduler"], f"--config={CONF}/kube-scheduler.yaml")),
        Component("kubelet", (programs["kubelet"], *kubelet())),
        Component("kube-proxy", (programs["kube-proxy"], f"--config={CONF}/kube-proxy.yaml")),
        Component("coredns", (programs["coredns"], f"-conf={CONF}/Corefile"), stage=2),
        Component("metrics-server", (programs["metrics-server"], *metrics_server()), stage=2),
    ]


def etcd() -> tuple[str, ...]:
    """One member. Without fsync, because the cluster's data is thrown away with it: for tests only."""
    return (
        "--name=holdfast",
        f"--data-dir={INSIDE}/etcd",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=holdfast=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )


def api_server() -> tuple[str, ...]:
    """RBAC and node authorization, aggregation, and a verified way to the kubelet."""
    return (
        "--etcd-servers=http://127.0.0.1:2379",
        f"--secure-port={API_PORT}",
        f"--advertise-address={NODE_ADDRESS}",
        f"--tls-cert-file={PKI}/kube-apiserver.crt",
        f"--tls-private-key-file={PKI}/kube-apiserver.key",
        f"--client-ca-file={PKI}/ca.crt",
        f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
        f"--service-account-key-file={PKI}/service-account.pub",
        f"--service-account-signing-key-file={PKI}/service-account.key",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        f"--kubelet-client-certificate={PKI}/kube-apiserver-kubelet.crt",
        f"--kubelet-client-key={PKI}/kube-apiserver-kubelet.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={PKI}/front-proxy.crt",
        f"--proxy-client-key-file={PKI}/front-proxy.key",
        "--enable-aggregator-routing=true",
        "--profiling=false",
    )


def controller_manager() -> tuple[str, ...]:
    """All controllers, and volumes as folders of this machine (the built-in provisioner, made for tests)."""
    kubeconfig = f"{CONF}/kube-controller-manager.kubeconfig"
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--cluster-signing-cert-file={PKI}/ca.crt",
        f"--cluster-signing-key-file={PKI}/ca.key",
        f"--root-ca-file={PKI}/ca.crt",
        f"--service-account-private-key-file={PKI}/service-account.key",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--enable-hostpath-provisioner=true",
        "--profiling=false",
    )


def kubelet() -> tuple[str, ...]:
    """The node `holdfast` at its one address."""
    return (
        f"--config={CONF}/kubelet.yaml",
        f"--kubeconfig={CONF}/kubelet.kubeconfig",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_ADDRESS}",
    )


def metrics_server() -> tuple[str, ...]:
    """Behind the aggregator; 10 s is the shortest resolution that it takes."""
    kubeconfig = f"{CONF}/metrics-server.kubeconfig"
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--secure-port={METRICS_PORT}",
        f"--tls-cert-file={PKI}/metrics-server-server.crt",
        f"--tls-private-key-file={PKI}/metrics-server-server.key",
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--metric-resolution=10s",
        "--kubelet-request-timeout=5s",
    )
