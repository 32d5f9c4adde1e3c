"""The programs: Kubernetes, etcd, CoreDNS and metrics-server from pinned Go modules, the rest from Debian packages.

`scripts/tools` builds and keeps them outside of the repository, by version; here stand the names, and how
long each takes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.targets.cluster.local.namespaces import TOOLS

Say = Callable[[str], None]

TOOL_PROGRAMS = {
    "etcd": {"etcd": "v3"},
    "kubernetes": {
        name: name
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubectl",
            "kubelet",
        )
    },
    "coredns": {"coredns": "coredns"},
    "metrics-server": {"metrics-server": "metrics-server"},
}
"""Tool (a folder of tools/) to its programs and the names of their binaries; a Go module's is its path's last part."""

COLD_SECONDS = {
    "v3": 60,
    "kube-apiserver": 290,
    "kube-controller-manager": 75,
    "kube-proxy": 15,
    "kube-scheduler": 10,
    "kubectl": 20,
    "kubelet": 30,
    "metrics-server": 60,
    "coredns": 120,
}
"""How long a cold build takes on 2 cores, to tell how long it will be."""

DEBIAN = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "sysctl": "procps",
    "mount": "mount",
    "nsenter": "util-linux",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}
"""Program to the Debian package that brings it."""


def debian_packages(programs: Mapping[str, str]) -> list[str]:
    """The packages whose programs are missing on this machine."""
    return sorted({package for program, package in programs.items() if not shutil.which(program, path=search_path())})


def install_debian(programs: Mapping[str, str], say: Say) -> None:
    """Install what is missing by apt-get. Raises Refused where there is no apt-get, or it fails."""
    missing = debian_packages(programs)
    if not missing:
        return
    command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(missing)}"
    say(f"installing {', '.join(missing)} (apt-get)")
    done = None
    if shutil.which("apt-get"):
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=False)
    if debian_packages(programs):
        said = done.stderr.strip().splitlines() if done else []
        raise Refused(
            f"{', '.join(missing)} could not be installed",
            because=said[-1] if said else "this is not a Debian: there is no apt-get",
            way_out=command,
        )


def build(checkout: Path, say: Say) -> dict[str, Path]:
    """Have every tool built; returns program to binary. Nothing is done for a version that was built before."""
    folders = {tool: build_tool(checkout, tool, say) for tool in TOOL_PROGRAMS}
    return {
        program: folders[tool] / binary
        for tool, programs in TOOL_PROGRAMS.items()
        for program, binary in programs.items()
    }


def build_tool(checkout: Path, tool: str, say: Say) -> Path:
    """Run `scripts/tools TOOL` with progress; returns the folder of its binaries. Raises EnvironmentFailed."""
    script = checkout / "scripts" / "tools"
    if not script.exists():
        raise Refused(
            "the cluster's programs cannot be built here",
            because=f"{script} is missing: the cluster is a tool of holdfast's checkout",
            way_out="run scripts/cluster in a checkout, or set KUBECONFIG to a cluster of your own",
        )
    env = os.environ | {"CGO_ENABLED": "0"}
    said: list[str] = []
    with subprocess.Popen(
        [str(script), tool], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr or ():
            said.append(line.rstrip())
            if line.startswith("building "):
                say(progress(line))
        folder = process.stdout.read().strip() if process.stdout else ""
    if process.returncode:
        raise EnvironmentFailed(
            f"{tool} could not be built", because="\n    ".join(said[-8:]), way_out=f"scripts/tools {tool} tells more"
        )
    return Path(folder)


def progress(line: str) -> str:
    """What to say of a line like `building k8s.io/kubernetes/cmd/kubelet v1.34.4`."""
    _, package, version = line.split()
    name = package.rsplit("/", 1)[-1]
    rest = list(COLD_SECONDS)[list(COLD_SECONDS).index(name) :] if name in COLD_SECONDS else []
    left = sum(COLD_SECONDS[later] for later in rest)
    shown = "etcd" if name == "v3" else name
    estimate = (
        f"about {COLD_SECONDS[name]} s on 2 cores; up to {-(-left // 60)} min for all that is left" if rest else ""
    )
    return f"building {shown} {version}" + (f" ({estimate}; once a version)" if estimate else "")


def inside(binaries: Mapping[str, Path]) -> dict[str, str]:
    """The programs' paths as the cluster's processes see them."""
    found = {name: f"{TOOLS}/{path.parent.name}/{path.name}" for name, path in binaries.items()}
    return found | {"containerd": shutil.which("containerd", path=search_path()) or "/usr/bin/containerd"}


def search_path() -> str:
    """PATH with the system's folders, which a root shell may lack."""
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
