"""The cluster's life: up is idempotent and one at a time, an interrupted up leaves nothing, down leaves nothing."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import kubernetes
from support.kubernetes import PAUSE, Cluster, deployment, run_cluster, status, succeed, until
from support.stack import ROOT

from holdfast.children import Identity
from holdfast.infra.targets.cluster.local.configs import SYSCTLS
from holdfast.infra.targets.cluster.local.layout import CGROUP

WARM_SECONDS = 30
FOLDERS = [Path(name) for name in ("/", "/etc", "/etc/cni", "/opt", "/run", "/usr/libexec", "/var/lib", "/var/log")]


def snapshot() -> dict[str, set[str]]:
    """What a machine has that a cluster could leave behind. New entries count, not ones that went."""
    namespaces = set()
    for process in Path("/proc").iterdir():
        for kind in ("net", "mnt", "pid"):
            try:
                namespaces.add(str((process / "ns" / kind).readlink()))
            except OSError:
                continue
    # a file system that others mount now is not the cluster's; a bind mount, an overlay or a pod's tmpfs shows here
    mounts = {line.split()[4] for line in Path("/proc/1/mountinfo").read_text().splitlines()}
    cgroups = {str(path) for path in Path("/sys/fs/cgroup").rglob("*") if path.is_dir()}
    return {
        "namespaces": namespaces,
        "mounts": mounts,
        "cgroups": cgroups,
        "links": said("ip", "-brief", "link"),
        "addresses": said("ip", "-brief", "address"),
        "routes": said("ip", "route", "show", "table", "all"),
        "rules": said("nft", "list", "ruleset"),
        "files": {str(path) for folder in FOLDERS if folder.is_dir() for path in folder.iterdir()},
        "sysctls": {f"{name}={Path('/proc/sys', name).read_text().strip()}" for name in SYSCTLS},
    }


def said(*argv: str) -> set[str]:
    """The lines that a command prints."""
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return {line.strip() for line in done.stdout.splitlines()}


def new_since(before: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is there now and was not before."""
    now = snapshot()
    return {kind: now[kind] - before[kind] for kind in before if now[kind] - before[kind]}


def nothing_new(before: dict[str, set[str]]) -> None:
    """Assert it; namespaces of other processes on this machine may come and go, so it is asked for a while."""
    until(lambda: not new_since(before), f"nothing is left: {new_since(before)}", 20)
    assert status()["state"] == "down"


@pytest.fixture
def before(was_up: bool) -> Iterator[dict[str, set[str]]]:
    """The machine without a cluster."""
    if was_up:
        pytest.skip("a cluster was up before the tests; it would be ended")
    succeed("down", timeout=120)
    yield snapshot()
    succeed("down", timeout=120)


def start_up() -> subprocess.Popen[str]:
    """Start `scripts/cluster up` in a session of its own, so that a signal reaches it and what it runs."""
    argv = [str(ROOT / "scripts" / "cluster"), "up"]
    env = kubernetes.own_environment()
    return subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read its progress until a line has these words."""
    for line in process.stderr or ():
        if words in line:
            return
    raise AssertionError(f"it ended with {process.wait()} and never said {words!r}")


def test_a_planted_leftover_of_each_kind_is_seen(before: dict[str, set[str]]) -> None:
    subprocess.run(["ip", "link", "add", "hf-planted", "type", "veth", "peer", "name", "hf-planted2"], check=True)
    group = Path("/sys/fs/cgroup/pids/holdfast-planted")
    group.mkdir()
    sleeper = subprocess.Popen(["unshare", "--net", "--mount", "sleep", "60"])
    try:
        until(lambda: {"links", "cgroups", "namespaces"} <= set(new_since(before)), "all three are seen", 5)
    finally:
        sleeper.kill()
        sleeper.wait()
        group.rmdir()
        subprocess.run(["ip", "link", "delete", "hf-planted"], check=True)
    nothing_new(before)


def test_down_leaves_nothing_of_a_cluster_with_running_pods(before: dict[str, set[str]]) -> None:
    succeed("up")
    begin = time.monotonic()
    succeed("down", timeout=120)
    nothing_new(before)
    succeed("up")
    warm = time.monotonic() - begin
    assert warm < WARM_SECONDS, f"down and a warm up took {warm:.1f} s"
    cluster = Cluster(Path(succeed("kubeconfig").strip()))
    container = {"name": "pause", "image": PAUSE, "imagePullPolicy": "Never"}
    cluster.apply(deployment("pause", {"app": "pause"}, container, 3))
    cluster.wait_ready("pause")
    processes = [Identity(pid=found["pid"], started=found["started"]) for found in status()["processes"]]
    assert new_since(before).keys() >= {"namespaces", "cgroups", "links", "routes"}
    succeed("down", timeout=120)
    assert not any(process.alive() for process in processes)
    nothing_new(before)


def test_up_again_changes_nothing_and_says_so_quickly(cluster: Cluster) -> None:
    running = status()["processes"]
    begin = time.monotonic()
    succeed("up")
    assert time.monotonic() - begin < 5
    assert status()["processes"] == running


def test_another_state_folder_is_refused_a_second_cluster_and_cannot_end_the_first(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_STATE_HOME", str(tmp_path))
        refused = run_cluster("up")
        assert refused.returncode == 4
        assert str(cluster.kubeconfig.parent) in refused.stderr
        assert run_cluster("down").returncode == 0
    assert status()["state"] == "up"
    assert Path("/sys/fs/cgroup/pids", CGROUP).exists()


def test_a_component_that_was_killed_is_seen_and_up_starts_it_again(cluster: Cluster) -> None:
    processes = {found["name"]: Identity(pid=found["pid"], started=found["started"]) for found in status()["processes"]}
    assert processes["kube-scheduler"].send(signal.SIGKILL)
    assert processes["kube-scheduler"].wait(5)
    found = run_cluster("status")
    assert found.returncode == 1
    assert "kube-scheduler" in found.stdout
    assert "ended" in found.stdout
    succeed("up")
    again = {found["name"]: Identity(pid=found["pid"], started=found["started"]) for found in status()["processes"]}
    assert again.pop("kube-scheduler") != processes.pop("kube-scheduler")
    assert again == processes


@pytest.mark.parametrize("moment", ["the API server are starting", "the API server is ready"])
def test_an_interrupted_up_leaves_nothing(before: dict[str, set[str]], moment: str) -> None:
    process = start_up()
    read_until(process, moment)
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    nothing_new_but_logs(before)


def nothing_new_but_logs(before: dict[str, set[str]]) -> None:
    """The logs of a start that failed are kept, to be read; all else is gone."""
    until(lambda: not new_since(before), f"nothing is left: {new_since(before)}", 20)


def test_a_killed_up_is_made_anew_by_the_next_and_ended_by_down(before: dict[str, set[str]]) -> None:
    process = start_up()
    read_until(process, "the API server are starting")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    assert status()["state"] == "partial"
    succeed("up")
    assert status()["state"] == "up"
    succeed("down", timeout=120)
    nothing_new(before)


def test_two_ups_at_once_make_one_cluster(before: dict[str, set[str]]) -> None:
    first, second = start_up(), start_up()
    said = [process.communicate(timeout=kubernetes.UP_TIMEOUT)[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], said
    assert sum("another scripts/cluster is at work" in text for text in said) == 1
    assert sum("etcd, containerd and the API server are starting" in text for text in said) == 1
    assert status()["state"] == "up"
