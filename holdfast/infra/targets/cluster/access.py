"""Which cluster is meant, and which Kubernetes plugin Pulumi is given."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version
from pathlib import Path

import msgspec

from holdfast.errors import Refused
from holdfast.infra.targets.cluster.local import state
from holdfast.infra.targets.cluster.local.layout import Layout, default_layout

KUBECONFIG = "KUBECONFIG"
PLUGINS = "HOLDFAST_PULUMI_PLUGINS"
PROGRAM = "pulumi-resource-kubernetes"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
ABOUT = "about"
"""A file in a folder of plugins: one line that says which plugin lies there."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster. `kubeconfig`: a path, or several as KUBECONFIG has them; empty: that of the pod that this runs in.

    `own`: it is the one of `scripts/cluster`.

    `plugins`: the folder in which Pulumi looks for its Kubernetes plugin first; empty: Pulumi finds it by itself.
    """

    kubeconfig: str
    plugins: str = ""
    own: bool = False

    @property
    def plugin(self) -> str:
        """Which plugin Pulumi runs, in words for progress and reports."""
        if not self.plugins:
            found = shutil.which(PROGRAM)
            return f"the plugin {found}" if found else "the official plugin"
        try:
            return (Path(self.plugins) / ABOUT).read_text(encoding="utf-8").strip()
        except OSError:
            return f"the plugin in {self.plugins}"


def find_access() -> Access:
    """KUBECONFIG's cluster, else our own when it is up, else that of ~/.kube/config, else that of the pod we run in.

    It only looks for files; nobody is asked. Raises Refused without any.
    """
    layout = default_layout()
    named = os.environ.get(KUBECONFIG, "")
    if named:
        own = Path(named).resolve() == layout.kubeconfig
        return Access(kubeconfig=_existing(named), plugins=_plugins(layout, own=own), own=own)
    if own_is_up(layout):
        return Access(kubeconfig=str(layout.kubeconfig), plugins=_plugins(layout, own=True), own=True)
    usual = Path.home() / ".kube" / "config"
    if usual.is_file():
        return Access(kubeconfig=str(usual), plugins=_plugins(layout, own=False))
    if os.environ.get("KUBERNETES_SERVICE_HOST") and SERVICE_ACCOUNT.is_file():
        return Access(kubeconfig="", plugins=_plugins(layout, own=False))
    raise Refused(
        "there is no cluster to use",
        because=f"KUBECONFIG is not set, no cluster of scripts/cluster is up, and {usual} does not exist",
        way_out="set KUBECONFIG to a kubeconfig that works with kubectl, or in a checkout: scripts/cluster up",
    )


def own_is_up(layout: Layout) -> bool:
    """Whether the cluster of `scripts/cluster` runs on this machine."""
    current = state.load(layout)
    return current is not None and current.alive() and layout.kubeconfig.is_file()


def official_plugin() -> Path | None:
    """Pulumi's own plugin of the version that the package wants, where Pulumi has installed it already."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    found = home / "plugins" / f"resource-kubernetes-v{version('pulumi_kubernetes')}" / PROGRAM
    return found if found.is_file() else None


def plugins_beside(layout: Layout) -> Path:
    """The folder of plugins that belongs to the cluster of `scripts/cluster` and goes with it."""
    return layout.root / "plugins"


def _plugins(layout: Layout, *, own: bool) -> str:
    """A folder is used for our own cluster or when somebody names it; never silently for a cluster of somebody's."""
    if named := os.environ.get(PLUGINS, ""):
        return _with_program(Path(named))
    beside = plugins_beside(layout)
    return str(beside) if own and (beside / PROGRAM).is_file() and official_plugin() is None else ""


def _with_program(folder: Path) -> str:
    if (folder / PROGRAM).is_file():
        return str(folder.resolve())
    raise Refused(
        f"{PLUGINS} names no folder with a Kubernetes plugin",
        because=f"there is no {PROGRAM} in {folder}",
        way_out=f"correct {PLUGINS}, or unset it: Pulumi then uses its own plugin",
    )


def _existing(named: str) -> str:
    """KUBECONFIG may name several files; one of them must be there (as for kubectl)."""
    if any(Path(path).is_file() for path in named.split(os.pathsep) if path):
        return named
    raise Refused(
        "the kubeconfig that KUBECONFIG names does not exist",
        because=f"KUBECONFIG={named}",
        way_out="correct KUBECONFIG, or unset it to use ~/.kube/config or the cluster of scripts/cluster",
    )
