"""Configuration files of the components, as pure functions: file name in the conf folder to content.

The settings that this kind of machine asks for (containers that may not lower oom_score_adj, cgroup v1) are named
where they stand; they do no harm elsewhere.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from holdfast.infra.targets.cluster.local.layout import (
    CGROUP,
    DNS_READY_PORT,
    DNS_SERVICE,
    DOMAIN,
    INSIDE,
    KUBELET_PORT,
    NODE,
    NODE_ADDRESS,
    PAUSE_IMAGE,
    PODS,
)

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What the kubelet sets at its start (kubernetes pkg/kubelet/cm, setupKernelTunables). These belong to the whole
machine, so the cluster gets files with these values mounted over them: the kubelet sees its wish, the host no change.
"""


def all_configs() -> dict[str, str]:
    """Every configuration file, by its path in the conf folder."""
    return {
        "containerd.toml": containerd_toml(),
        "cni/10-holdfast.conflist": json.dumps(pod_network(), indent=1) + "\n",
        "kubelet.yaml": _yaml(kubelet()),
        "kube-proxy.yaml": _yaml(kube_proxy()),
        "kube-scheduler.yaml": _yaml(kube_scheduler()),
        "Corefile": corefile(),
        "resolv.conf": f"nameserver {NODE_ADDRESS}\n",
        **{f"sysctl/{name.replace('/', '.')}": f"{value}\n" for name, value in SYSCTLS.items()},
    }


def containerd_toml() -> str:
    """containerd 1.6 or later, runc, overlayfs; folders at their defaults, which are the cluster's own inside."""
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Where not even root may lower oom_score_adj, no container would start without this.
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{INSIDE}/conf/cni"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def pod_network() -> dict[str, Any]:
    """A routed pair of links a pod: no bridge, so a pod that calls itself through a Service needs no hairpin."""
    ranges = [[{"subnet": PODS}]]
    plugin = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return {"cniVersion": "0.4.0", "name": "holdfast", "plugins": [plugin]}


def kubelet() -> dict[str, Any]:
    """KubeletConfiguration. cgroup v1 is allowed, oom_score_adj is not lowered, no image is ever collected."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",  # noqa: S104 - of the cluster's own network namespace
        "port": KUBELET_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{INSIDE}/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{INSIDE}/pki/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{INSIDE}/pki/kubelet-server.key",
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": DOMAIN,
        "resolvConf": f"{INSIDE}/conf/resolv.conf",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "makeIPTablesUtilChains": False,
        "maxPods": 250,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }


def kube_proxy() -> dict[str, Any]:
    """KubeProxyConfiguration: nftables, and no conntrack setting that a network namespace may not change."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": f"{INSIDE}/conf/kube-proxy.kubeconfig"},
        "hostnameOverride": NODE,
        "clusterCIDR": PODS,
        "oomScoreAdj": 0,
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    }


def kube_scheduler() -> dict[str, Any]:
    """KubeSchedulerConfiguration: one scheduler, so nobody to elect."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": f"{INSIDE}/conf/kube-scheduler.kubeconfig"},
        "leaderElection": {"leaderElect": False},
    }


def corefile() -> str:
    """Services and pods of the cluster; every other name does not exist, for the cluster has no way out."""
    return f"""{DOMAIN} in-addr.arpa ip6.arpa {{
    errors
    ready {NODE_ADDRESS}:{DNS_READY_PORT}
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {INSIDE}/conf/coredns.kubeconfig
        pods insecure
        ttl 5
    }}
}}

. {{
    errors
    template IN ANY . {{
        rcode NXDOMAIN
    }}
}}
"""


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
