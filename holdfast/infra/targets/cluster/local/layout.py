"""Where the cluster's files lie, on the host and inside, and which addresses it uses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

INSIDE = "/run/holdfast"
"""The state folder as the cluster's processes see it: a fixed, short path, wherever it lies on the host."""

RANGE = "10.213.0.0/16"
"""All addresses of the cluster; refused when the host already routes any of them."""
PODS = "10.213.0.0/17"
SERVICES = "10.213.128.0/18"
API_SERVICE = "10.213.128.1"
DNS_SERVICE = "10.213.128.10"
HOST_ADDRESS = "10.213.255.1"
NODE_ADDRESS = "10.213.255.2"
LINK_PREFIX = 30

LINK = "hf-cluster"
NODE = "holdfast"
DOMAIN = "cluster.local"
CGROUP = "holdfast-cluster"
TAG = "HOLDFAST_CLUSTER"
API_PORT, KUBELET_PORT, METRICS_PORT, DNS_READY_PORT = 6443, 10250, 4443, 8181
API_URL = f"https://{NODE_ADDRESS}:{API_PORT}"

PAUSE_IMAGE = "localhost/holdfast-pause:1"
VOLUME_USER = 10001
"""The user of holdfast's image; volumes belong to it, because a hostPath volume knows no fsGroup."""


@dataclass(frozen=True)
class Layout:
    """Paths on the host. Nothing is created here but by `make`."""

    root: Path

    @property
    def state(self) -> Path:
        """Which processes run, by pid and start time."""
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        """Held while the cluster is being started or ended; beside the state folder, which `down` removes."""
        return self.root.with_name(f"{self.root.name}.lock")

    @property
    def logs(self) -> Path:
        """One log a component."""
        return self.root / "logs"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.root / "pki"

    @property
    def conf(self) -> Path:
        """Configuration files of the components."""
        return self.root / "conf"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, usable from the host."""
        return self.root / "kubeconfig"

    def make(self) -> None:
        """Create the folders; private, because keys lie in them. Volumes are shared with the image's user."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        for name in ("logs", "pki", "conf", "conf/cni", "conf/sysctl", "etcd", "varlib", "varlog", "tmp"):
            (self.root / name).mkdir(exist_ok=True, mode=0o711)
        (self.root / "etcd").chmod(0o700)
        (self.root / "tmp").chmod(0o1777)


def default_layout() -> Layout:
    """${XDG_STATE_HOME:-~/.local/state}/holdfast/cluster: one cluster a machine, shared by all checkouts."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Layout(Path(base).resolve() / "holdfast" / "cluster")
