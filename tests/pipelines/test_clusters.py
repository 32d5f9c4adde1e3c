"""Provisioning on a cluster, as far as it needs none: which cluster, what a home remembers, why pods wait, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pulumi.automation.errors import CommandError
from pulumi.automation.events import EngineEvent
from support.stack import wait_until

from holdfast.children import Identity, identify, tagged
from holdfast.errors import ExitCode, Refused, UsageError
from holdfast.infra.automation import ready
from holdfast.infra.automation.command import OWNER, Command, orphan
from holdfast.infra.automation.events import Listener
from holdfast.infra.automation.images import image_states
from holdfast.infra.automation.ready import lacking
from holdfast.infra.automation.spaces import Seen, Wanted, wanted
from holdfast.infra.automation.waiting import stuck
from holdfast.infra.home import Home, home_at
from holdfast.infra.program.desired import first
from holdfast.infra.stack import load_stack
from holdfast.infra.supervisor.unit import STACK_TAG
from holdfast.infra.targets.cluster import access
from holdfast.infra.targets.cluster.access import find_access
from holdfast.infra.targets.cluster.local import state
from holdfast.infra.targets.cluster.local.layout import Layout, default_layout
from holdfast.infra.targets.kept import Where, keep_where, kept_where, where_of
from holdfast.journal import Journal
from holdfast.pipelines.cli import run
from holdfast.pipelines.compose import find_stack, keep_stack

Object = dict[str, Any]
UP = Where(target="cluster", environment="staging", up=True)


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any cluster, in an empty folder."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", access.PLUGINS, "PULUMI_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_at(tmp_path / "home").make()


def an_ended_process() -> Identity:
    child = subprocess.Popen(["sleep", "60"])
    found = identify(child.pid)
    child.kill()
    child.wait()
    assert found is not None
    return found


# -- which cluster, which plugin ---------------------------------------------------------------------------------------


def kubeconfig(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("apiVersion: v1\n")
    return path


def own_cluster(plugin: str = "") -> Layout:
    """A cluster of scripts/cluster that is up, as far as its files tell: this process stands for it."""
    layout = default_layout()
    kubeconfig(layout.kubeconfig)
    me = identify(os.getpid())
    assert me is not None
    state.save(layout, state.State(init=me, complete=True))
    if plugin:
        put_plugin(layout.root / "plugins", plugin)
    return layout


def put_plugin(folder: Path, about: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / access.PROGRAM).write_text("#!/bin/sh\n")
    (folder / access.ABOUT).write_text(f"{about}\n")
    return folder


def test_without_any_cluster_the_way_out_names_both_ways_to_one() -> None:
    with pytest.raises(Refused) as found:
        find_access()
    assert "KUBECONFIG" in found.value.way_out
    assert "scripts/cluster up" in found.value.way_out


def test_kubeconfig_comes_first_then_our_own_cluster_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = kubeconfig(tmp_path / "user" / ".kube" / "config")
    assert find_access().kubeconfig == str(usual)
    layout = own_cluster()
    assert find_access().kubeconfig == str(layout.kubeconfig)
    assert find_access().own
    named = kubeconfig(tmp_path / "named")
    monkeypatch.setenv("KUBECONFIG", str(named))
    assert find_access().kubeconfig == str(named)
    assert not find_access().own
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{named}")
    assert find_access().kubeconfig == f"{tmp_path / 'missing'}:{named}"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(Refused, match="does not exist"):
        find_access()


def test_in_a_pod_the_pods_own_cluster_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(access, "SERVICE_ACCOUNT", kubeconfig(tmp_path / "token"))
    assert find_access() == access.Access(kubeconfig="")
    kubeconfig(tmp_path / "user" / ".kube" / "config")
    assert find_access().kubeconfig


def test_a_cluster_of_ours_that_has_ended_is_none() -> None:
    layout = own_cluster()
    state.save(layout, state.State(init=an_ended_process(), complete=True))
    with pytest.raises(Refused):
        find_access()


def test_a_stand_in_beside_our_own_cluster_is_used_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = own_cluster(plugin="the stand-in of the tests")
    assert find_access().plugins == str(layout.root / "plugins")
    assert find_access().plugin == "the stand-in of the tests"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "of somebody")))
    assert find_access().plugins == ""
    assert find_access().plugin == "the official plugin"


def test_the_official_plugin_comes_before_a_stand_in_but_after_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_cluster(plugin="the stand-in of the tests")
    official = tmp_path / "pulumi" / "plugins" / f"resource-kubernetes-v{version('pulumi_kubernetes')}"
    put_plugin(official, "official")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    assert find_access().plugin == "the official plugin"
    monkeypatch.setenv(access.PLUGINS, str(put_plugin(tmp_path / "mine", "a plugin of mine")))
    assert find_access().plugin == "a plugin of mine"
    monkeypatch.setenv(access.PLUGINS, str(tmp_path / "nothing"))
    with pytest.raises(Refused, match=access.PLUGINS):
        find_access()


# -- what a home remembers ---------------------------------------------------------------------------------------------


def test_a_home_remembers_where_its_stack_is(home: Home) -> None:
    assert where_of(home) == Where()
    asked = where_of(home, target="cluster", environment="staging", backend="s3://state")
    keep_where(asked, home)
    assert where_of(home) == asked
    assert where_of(home, environment="prod").environment == "prod"
    assert kept_where(home) == asked


@pytest.mark.parametrize(
    "asked",
    [{"target": "local"}, {"environment": "dev"}, {"backend": "s3://other"}, {"secrets_provider": "awskms://k"}],
)
def test_a_home_that_is_up_is_not_asked_for_elsewhere(home: Home, asked: dict[str, Any]) -> None:
    keep_where(UP, home)
    with pytest.raises(Refused) as found:
        where_of(home, **asked)
    assert "staging" in found.value.because
    assert "--home" in found.value.way_out
    assert where_of(home, looking=True, **asked) != UP
    keep_where(msgspec.structs.replace(UP, up=False), home)
    assert not where_of(home, **asked).up


def test_a_home_whose_processes_run_here_is_not_taken_to_a_cluster(home: Home) -> None:
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, STACK_TAG: str(home.root)})
    try:
        with pytest.raises(Refused, match="up elsewhere"):
            where_of(home, target="cluster")
        assert where_of(home).target == "local"
    finally:
        child.kill()
        child.wait()
    assert where_of(home, target="cluster").target == "cluster"


def test_a_release_that_is_not_over_keeps_its_home_where_it_is(home: Home) -> None:
    journal = Journal(home.journal)
    with journal.lock("a test"):
        journal.begin("deploy", {"version": "v2"})
    with pytest.raises(Refused, match="is not over"):
        where_of(home, target="cluster")


def test_options_of_a_cluster_are_refused_for_this_machine(home: Home) -> None:
    with pytest.raises(UsageError, match="--env"):
        where_of(home, environment="staging")
    with pytest.raises(UsageError, match="--secrets-provider"):
        where_of(home, target="local", secrets_provider="awskms://key")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "--no-wait"], "--no-wait is for a stack on a cluster"),
        (["up", "--refresh"], "--refresh is for a stack on a cluster"),
        (["up", "--cancel"], "--cancel is for a stack on a cluster"),
        (["up", "--settle", "3"], "--settle is for a stack on a cluster"),
        (["up", "--env", "dev"], "--env is for a cluster"),
        (["up", "--target", "cluster", "--links-argv", "relay"], "--links-argv is for a stack on this machine"),
        (["up", "--target", "cluster", "--new-ports"], "--new-ports is for a stack on this machine"),
        (["up", "--target", "cluster", "--settle", "3"], "--settle is for --no-wait"),
        (["down", "--gone"], "--gone is for a stack on a cluster"),
        (["preview"], "preview is for a cluster"),
        (["refresh", "--target", "local"], "refresh is for a cluster"),
        (["preview", "--target", "nowhere"], "'local', 'cluster'"),
    ],
)
def test_what_does_not_fit_the_target_is_a_usage_error(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitCode.USAGE
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_has_one_stack_up_is_not_asked_for_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = home_at(tmp_path / ".holdfast").make()
    keep_where(UP, home)
    keep_stack(find_stack("sage", home), home)
    assert run(["up", "--stack", "agno"]) == ExitCode.REFUSED
    assert "it has sage, and agno was asked for" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_refused_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("holdfast.infra.automation.spaces.REACH_S", 0.5)
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "config").write_text(msgspec.json.encode(config).decode())
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert run(["up", "--target", "cluster", "--stack", "sage"]) == ExitCode.REFUSED
    told = capsys.readouterr().err
    assert "the cluster does not answer" in told
    assert "kubectl get --raw" in told
    assert not (tmp_path / ".holdfast").exists()


# -- why pods do not run -----------------------------------------------------------------------------------------------


def pod(name: str, image: str, **status: Any) -> Object:
    spec = {"containers": [{"name": "main", "image": image}]}
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec, "status": status}


def waits(name: str, image: str, reason: str, message: str = "said so\nand more", **more: Any) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(name, image, containerStatuses=[{"name": "main", "image": image, "state": state, **more}])


def runs(name: str, image: str) -> Object:
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    return pod(name, image, containerStatuses=[{"name": "main", "image": f"docker.io/{image}", "state": state}])


def claim(name: str, storage_class: str | None) -> Object:
    spec = {} if storage_class is None else {"storageClassName": storage_class}
    return {"metadata": {"name": name}, "spec": spec, "status": {"phase": "Pending"}}


def with_claim(found: Object, name: str) -> Object:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    unplaced = {"type": "PodScheduled", "status": "False", "message": "no volume. not found"}
    return {**found, "spec": {**found["spec"], "volumes": volumes}, "status": {"conditions": [unplaced]}}


def storage(name: str, *, default: bool = False) -> Object:
    notes = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": notes}}


def replica_set(message: str, replicas: int = 1) -> Object:
    condition = {"type": "ReplicaFailure", "status": "True", "message": message}
    metadata = {"name": "web-1", "ownerReferences": [{"kind": "Deployment", "name": "web"}]}
    return {"metadata": metadata, "spec": {"replicas": replicas}, "status": {"conditions": [condition]}}


def warning(of: str, message: str, reason: str = "Failed") -> Object:
    return {"involvedObject": {"uid": of}, "message": message, "reason": reason}


@pytest.mark.parametrize(
    ("seen", "cause", "says"),
    [
        (Seen(pods=[waits("a", "x:1", "ErrImagePull")]), "image", "ErrImagePull: said so"),
        (Seen(pods=[waits("a", "x:1", "ErrImageNeverPull")]), "image", "ErrImageNeverPull: said so"),
        (Seen(pods=[waits("a", "x:1", "ImagePullBackOff")]), "image", "ImagePullBackOff: said so"),
        (
            Seen(
                pods=[waits("a", "x:1", "ContainerCreating", "")],
                warnings=[warning("uid-a", 'Failed to pull image "x:1": no')],
            ),
            "image",
            'Failed to pull image "x:1": no',
        ),
        (Seen(replica_sets=[replica_set("exceeded quota: quota")]), "quota", "exceeded quota: quota"),
        (Seen(replica_sets=[replica_set("forbidden: too large")]), "refused", "forbidden: too large"),
        (
            Seen(
                stateful_sets=[{"metadata": {"name": "db", "uid": "u"}, "spec": {"replicas": 1}, "status": {}}],
                warnings=[warning("u", "create Pod db-0 failed: exceeded quota: q", "FailedCreate")],
            ),
            "quota",
            "create Pod db-0 failed: exceeded quota: q",
        ),
        (
            Seen(
                pods=[with_claim(pod("a", "x:1"), "data")], claims=[claim("data", "gold")], classes=[storage("silver")]
            ),
            "storage class",
            "there is no storage class gold; there are: silver",
        ),
        (
            Seen(pods=[with_claim(pod("a", "x:1"), "data")], claims=[claim("data", None)], classes=[storage("silver")]),
            "storage class",
            "it names no storage class, and none is the default; there are: silver",
        ),
    ],
)
def test_what_waiting_does_not_end_is_named_in_the_clusters_words(seen: Seen, cause: str, says: str) -> None:
    found = [entry for entry in stuck("space", seen) if entry.endless]
    assert [(entry.cause, entry.says) for entry in found] == [(cause, says)]
    assert found[0].object.startswith("space/")


@pytest.mark.parametrize(
    "seen",
    [
        Seen(pods=[runs("a", "x:1")]),
        Seen(pods=[waits("a", "x:1", "ContainerCreating", "")]),
        Seen(pods=[waits("a", "x:1", "CrashLoopBackOff", lastState={"terminated": {"exitCode": 1}})]),
        Seen(replica_sets=[replica_set("exceeded quota: quota", replicas=0)]),
        Seen(replica_sets=[replica_set("forbidden: error looking up service account x/y")]),
        Seen(pods=[with_claim(pod("a", "x:1"), "data")], claims=[claim("data", "gold")], classes=[storage("gold")]),
        Seen(pods=[with_claim(pod("a", "x:1"), "data")], claims=[claim("data", "gold")], classes=None),
        Seen(
            pods=[with_claim(pod("a", "x:1"), "data")],
            claims=[claim("data", None)],
            classes=[storage("gold", default=True)],
        ),
        Seen(claims=[claim("left", "gold")], classes=[]),
        Seen(
            pods=[
                {
                    **waits("a", "x:1", "ErrImagePull"),
                    "metadata": {"name": "a", "uid": "uid-a", "deletionTimestamp": "2026-01-01T00:00:00Z"},
                }
            ]
        ),
    ],
)
def test_what_may_still_come_is_not_called_endless(seen: Seen) -> None:
    assert [entry for entry in stuck("space", seen) if entry.endless] == []


def test_the_way_out_names_the_users_own_things() -> None:
    seen = Seen(
        pods=[waits("a", "shop/web:2", "ErrImagePull"), with_claim(pod("b", "x:1"), "data-db-0")],
        claims=[claim("data-db-0", "gold")],
        replica_sets=[replica_set("exceeded quota: quota")],
    )
    error = ready.endless("shop-staging", [entry for entry in stuck("shop-staging", seen) if entry.endless])
    assert error.code == ExitCode.UNKNOWN
    for text in ("shop-staging cannot come up", "shop/web:2 cannot be pulled", "web exceeds the quota", "class gold"):
        assert text in error.what
    for text in ("cluster.environments.staging.quota", "cluster.environments.staging.storage_class", "shop/web:2"):
        assert text in error.way_out
    assert "shop-staging/Pod/a: ErrImagePull: said so" in error.because


def workload(name: str, *images: str, kind: str = "Deployment", replicas: int = 1) -> Wanted:
    return Wanted(namespace="space", kind=kind, name=name, images=list(images), replicas=replicas)


def test_each_image_is_told_by_its_worst_pod_and_the_worst_come_first() -> None:
    asked = [
        workload("good", "good:1"),
        workload("bad", "bad:1", "good:1"),
        workload("late", "late:1"),
        workload("broken", "broken:1"),
        workload("nightly", "nightly:1", kind="CronJob"),
        workload("none", "none:1", replicas=0),
        workload("web", "full:1"),
    ]
    unplaced = [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: no CPU. preemption: no"}]
    pods = [
        runs("good-1", "good:1"),
        runs("good-2", "good:1"),
        runs("bad-1", "bad:1"),
        waits("bad-2", "bad:1", "ErrImageNeverPull"),
        pod("late-1", "late:1", conditions=unplaced),
        waits("broken-1", "broken:1", "CrashLoopBackOff", lastState={"terminated": {"exitCode": 3}}),
    ]
    seen = Seen(pods=pods, replica_sets=[replica_set("exceeded quota: quota")])
    found = image_states(asked, {"space": seen})
    assert [(entry.image, entry.state, entry.pods) for entry in found] == [
        ("bad:1", "not pulled", 1),
        ("broken:1", "crashes", 1),
        ("full:1", "pending", 0),
        ("late:1", "pending", 1),
        ("good:1", "ran", 2),
        ("nightly:1", "no pod", 0),
        ("none:1", "no pod", 0),
    ]
    told = {entry.image: entry.because for entry in found}
    assert told["bad:1"] == "ErrImageNeverPull: said so"
    assert "(exit 3)" in told["broken:1"]
    assert told["full:1"] == "exceeded quota: quota"
    assert told["late:1"] == "0/1 nodes: no CPU"
    assert told["nightly:1"] == "it runs at its time"


def live(kind: str, name: str, replicas: int, ready_now: int, *, seen: int = 1) -> Object:
    status = {"readyReplicas": ready_now, "updatedReplicas": replicas, "observedGeneration": seen}
    return {"kind": kind, "metadata": {"name": name, "generation": 1}, "spec": {"replicas": replicas}, "status": status}


def test_what_lacks_is_counted_by_the_clusters_own_sizes() -> None:
    asked = [workload("a"), workload("b"), workload("c"), workload("d", kind="Job"), workload("e", kind="CronJob")]
    deployments = [live("Deployment", "a", 3, 3), live("Deployment", "b", 2, 1), live("Deployment", "c", 1, 1, seen=0)]
    jobs = [{"metadata": {"name": "d"}, "status": {"failed": 2}}]
    assert lacking(asked, Seen(deployments=deployments, jobs=jobs)) == [
        "space/Deployment/b: 1 of 2 pods ready",
        "space/Deployment/c: its controller has not seen it yet",
        "space/Job/d: not done, 2 attempts failed",
    ]
    assert lacking([workload("gone")], Seen()) == ["space/Deployment/gone: it is not there"]


def test_an_idle_color_is_a_releases_to_wait_for() -> None:
    stack = load_stack("sage")
    names = {found.name for found in wanted(stack, "staging", first(stack))}
    assert "memory-blue" in names
    both = first(stack).colors["memory"]["blue"]
    desired = msgspec.structs.replace(first(stack), colors={"memory": {"blue": both, "green": both}})
    assert "memory-green" not in {found.name for found in wanted(stack, "staging", desired)}


# -- Pulumi's events and its process -----------------------------------------------------------------------------------


def event(op: str, kind: str = "resourcePreEvent", diffs: list[str] | None = None) -> EngineEvent:
    urn = "urn:pulumi:s::p::holdfast:infra:Part$kubernetes:core/v1:Service::space/Service/web"
    provider = "urn:pulumi:s::p::pulumi:providers:kubernetes::secondary::id"
    metadata = {"op": op, "urn": urn, "type": "kubernetes:core/v1:Service", "provider": provider, "diffs": diffs}
    return EngineEvent.from_json({"sequence": 1, "timestamp": 1, kind: {"metadata": metadata}})


@pytest.mark.parametrize(
    ("events", "operation"),
    [
        ([event("create"), event("create", "resOutputsEvent")], "create"),
        ([event("refresh"), event("update", "resOutputsEvent", ["spec"])], "update"),
        ([event("refresh"), event("refresh", "resOutputsEvent")], "same"),
        ([event("refresh"), event("refresh", "resOutputsEvent"), event("update")], "update"),
        ([event("delete-replaced"), event("replace"), event("create-replacement")], "replace"),
    ],
)
def test_an_object_has_one_operation_whatever_its_events(events: list[EngineEvent], operation: str) -> None:
    listener = Listener()
    for found in events:
        listener(found)
    told = listener.operations["space/Service/web"]
    assert (told.operation, told.region, dict(listener.counts)) == (operation, "secondary", {operation: 1})


PROGRAM = """#!{python}
import os, signal, sys, time
from pathlib import Path
folder = Path({folder!r})
if sys.argv[1:] == ["version"]:
    print("v3.259.0")
    sys.exit(0)
def ended(number, frame):
    if not (folder / "stubborn").exists():
        (folder / "unlocked").touch()
        sys.exit(1)
signal.signal(signal.SIGINT, ended)
(folder / "began").write_text(os.environ[{owner!r}])
if "wait" in sys.argv:
    time.sleep(60)
print("said", *sys.argv[1:])
sys.exit(3 if "fail" in sys.argv else 0)
"""


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Pulumi's command line played by a program that waits until it is told to end."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "pulumi"
    program.write_text(PROGRAM.format(python=sys.executable, folder=str(tmp_path), owner=OWNER))
    program.chmod(0o755)
    return Command(str(tmp_path), lambda line: None)


def test_what_pulumi_says_and_how_it_ends_is_told(command: Command, tmp_path: Path) -> None:
    heard: list[str] = []
    assert command.run(["one"], str(tmp_path), {}, on_output=heard.append).stdout == "said --non-interactive one"
    assert heard == ["said --non-interactive one"]
    with pytest.raises(CommandError):
        command.run(["fail"], str(tmp_path), {})


@pytest.fixture
def ctrl_c(tmp_path: Path) -> Iterator[None]:
    """Interrupts this process as soon as the program runs."""

    def interrupt() -> None:
        end = time.monotonic() + 20
        while not (tmp_path / "began").exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    yield
    thread.join()


def runs_still(tmp_path: Path) -> list[int]:
    owner = (tmp_path / "began").read_text()
    return [identity.pid for identity, _ in tagged(OWNER, owner)]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_has_pulumi_end_in_good_order(command: Command, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        command.run(["wait"], str(tmp_path), {})
    assert (tmp_path / "unlocked").exists()
    assert not command.killed
    assert runs_still(tmp_path) == []


@pytest.mark.usefixtures("ctrl_c")
def test_a_pulumi_that_does_not_end_is_killed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.infra.automation.command.GRACE_S", 0.3)
    (tmp_path / "stubborn").touch()
    with pytest.raises(KeyboardInterrupt):
        command.run(["wait"], str(tmp_path), {})
    assert command.killed
    assert runs_still(tmp_path) == []


def test_a_pulumi_whose_command_was_killed_is_known(tmp_path: Path) -> None:
    gone, me = an_ended_process(), identify(os.getpid())
    assert me is not None
    for owner, lost in ((gone, True), (me, False), (None, False)):
        said = f"{owner.pid}:{owner.started}" if owner else ""
        process = subprocess.Popen(["sleep", "30"], env={**os.environ, OWNER: said})
        try:
            found = identify(process.pid)
            assert found is not None
            wait_until(lambda pid=process.pid: Path(f"/proc/{pid}/environ").read_bytes(), "it has its environment")  # type: ignore[misc]
            assert orphan(found) is lost
        finally:
            process.kill()
            process.wait()
