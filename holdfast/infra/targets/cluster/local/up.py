"""Start the cluster, or mend it: a cluster that is up is left alone, one that was cut off half-way is made anew."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from holdfast.infra.images.pause import pause_archive, pause_program
from holdfast.infra.targets.cluster.local import api, certificates, cgroups, namespaces, network, programs, state
from holdfast.infra.targets.cluster.local.components import Component, all_components
from holdfast.infra.targets.cluster.local.configs import all_configs
from holdfast.infra.targets.cluster.local.down import end
from holdfast.infra.targets.cluster.local.images import load_archive
from holdfast.infra.targets.cluster.local.kubeconfigs import kubeconfig_of
from holdfast.infra.targets.cluster.local.layout import TAG, VOLUME_USER, Layout
from holdfast.infra.targets.cluster.local.objects import all_objects
from holdfast.infra.targets.cluster.local.state import State

Say = Callable[[str], None]
WITH_KUBECONFIG = ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "coredns", "metrics-server")
READ_BY_CONTROLLERS = ("ca.key", "service-account.key")


def up(layout: Layout, checkout: Path, say: Say) -> None:
    """Have the cluster up. The caller holds the lock. Whatever ends a first start half-way also takes it away."""
    programs.install_debian(programs.DEBIAN, say)
    binaries = programs.build(checkout, say)
    found = state.load(layout)
    if found and found.complete and found.alive():
        mend(layout, found, binaries, say)
        return
    end(layout)
    try:
        make(layout, binaries, say)
    except BaseException:
        signal.pthread_sigmask(signal.SIG_BLOCK, namespaces.INTERRUPTS)  # a second Ctrl-C must not stop this
        say("taking away what was started")
        end(layout, keep_logs=True)
        raise


def make(layout: Layout, binaries: Mapping[str, Path], say: Say) -> None:
    """Everything from nothing."""
    network.refuse_second(namespaces.run_on_host(network.LIST_LINKS))
    network.refuse_overlap(namespaces.run_on_host(network.LIST_ROUTES))
    layout.make()
    pki = write_files(layout)
    current = make_namespaces(layout, binaries)
    first, then, last = stages(binaries)
    start(layout, current, first)
    say("etcd, containerd and the API server are starting")
    load_archive(current.init, pause_archive())
    api.wait_for_api(layout, timeout=90)
    say("the API server is ready")
    start(layout, current, then)
    apply(layout, binaries["kubectl"], all_objects(pki["ca.crt"]))
    start(layout, current, last)
    wait_until_ready(layout, current, say)
    current.complete = True
    state.save(layout, current)


def stages(binaries: Mapping[str, Path]) -> list[list[Component]]:
    """The components by the stage in which they start."""
    components = all_components(programs.inside(binaries))
    return [[component for component in components if component.stage == stage] for stage in range(3)]


def mend(layout: Layout, current: State, binaries: Mapping[str, Path], say: Say) -> None:
    """Start the components that have ended."""
    ended = [
        component
        for component in all_components(programs.inside(binaries))
        if component.name not in current.components or not current.components[component.name].alive()
    ]
    if ended:
        say(f"starting {', '.join(component.name for component in ended)} again")
        start(layout, current, ended)
    wait_until_ready(layout, current, say)


def write_files(layout: Layout) -> dict[str, bytes]:
    """Certificates, configuration and kubeconfigs; returns the certificates and keys by file name."""
    pki = certificates.all_files()
    for name, content in pki.items():
        if name.endswith(".key"):
            _write(layout.pki / name, content, VOLUME_USER if name in READ_BY_CONTROLLERS else 0)
        else:
            (layout.pki / name).write_bytes(content)
    for name, text in all_configs().items():
        (layout.conf / name).write_text(text, encoding="utf-8")
    for name in WITH_KUBECONFIG:
        owner = VOLUME_USER if name == "kube-controller-manager" else 0
        _write(layout.conf / f"{name}.kubeconfig", kubeconfig_of(name, pki).encode(), owner)
    _write(layout.kubeconfig, kubeconfig_of("admin", pki).encode(), 0)
    return pki


def make_namespaces(layout: Layout, binaries: Mapping[str, Path]) -> State:
    """The first process, its mounts and its link to the host."""
    init = namespaces.create(pause_program(), environment(layout), layout.logs / "init.log")
    current = State(init=init)
    state.save(layout, current)
    for argv in namespaces.mount_commands(layout.root, binaries["kubectl"].parent.parent):
        namespaces.run(init, argv)
    for argv in network.host_commands(init.pid, layout.root):
        namespaces.run_on_host(argv)
    cgroups.make()
    for argv in network.node_commands():
        namespaces.run(init, argv)
    for argv in network.route_commands():
        namespaces.run_on_host(argv)
    return current


def start(layout: Layout, current: State, components: list[Component]) -> None:
    """Start components, each written down as it starts."""
    for component in components:
        log = layout.logs / f"{component.name}.log"
        current.components[component.name] = namespaces.start(
            current.init, component.argv, environment(layout), log, user=component.user
        )
        state.save(layout, current)


def apply(layout: Layout, kubectl: Path, objects: list[dict[str, object]]) -> None:
    """Server-side apply, so that a second time changes nothing."""
    argv = [str(kubectl), f"--kubeconfig={layout.kubeconfig}", "apply", "--server-side", "--force-conflicts"]
    namespaces.run_on_host([*argv, "--validate=false", "--filename=-"], given=yaml.safe_dump_all(objects))


def wait_until_ready(layout: Layout, current: State, say: Say) -> None:
    """API server, node, names, metrics API; and no component has ended meanwhile."""
    api.wait_for_api(layout, timeout=90)
    api.wait_for(layout, api.NODE_PATH, "Ready", "kubelet", timeout=90)
    api.wait_for_dns(layout, timeout=30)
    api.wait_for(layout, api.METRICS_PATH, "Available", "metrics-server", timeout=60)
    say("node, DNS and metrics are ready")
    for name, identity in current.components.items():
        if not identity.alive():
            raise api.ended(layout, name)


def environment(layout: Layout) -> dict[str, str]:
    """What every component is told; the tag names it as the cluster's."""
    return {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", TAG: str(layout.root)}


def _write(path: Path, content: bytes, owner: int) -> None:
    """A file that only its owner may read, complete when it appears."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    os.chown(path, owner, owner)
