"""Provisioning through the command line on a real cluster: up, preview, refresh, down, and what must be caught.

Which plugin ran is told by the commands themselves; with the stand-in nothing is said about the official one.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import kubernetes
from support.istio import DEFINITIONS
from support.kubernetes import Cluster, Object, until

from holdfast.children import identify, tagged
from holdfast.content import content_root
from holdfast.errors import ExitCode
from holdfast.infra.automation.command import OWNER
from holdfast.infra.targets.cluster.access import official_plugin

PREVIEW_S = 15.0
EARLY_S = 45.0
"""An `up` that cannot end: Pulumi, a quarter of a minute of patience, and a busy machine."""
STACK = """
name: {name}
services_from: ""
stores: {{redis: {{kind: redis}}}}
edge: {{service: web}}
services:
  web: {{protocol: http, replicas: 1, ready: {{path: /}}, env: {{REDIS: "{{redis:web→redis}}"}}}}
links:
  client→edge: {{from: client, to: edge}}
  web→redis: {{from: web, to: redis}}
release: {{gate: smoke, watch: watch}}
cluster:
  owner: tests
  only: true
  version: "1"
  image: {image}
  pull: Never
  services:
    web:
      command: [python, -P, -m, http.server, "8080", --directory, /tmp]
      live: /
      autoscale: null
      prestop_s: 5
      longest_s: 1
      resources: {{cpu: 20m, memory: 32Mi, memory_limit: 128Mi}}
  parts:
    redis: {{kind: redis, image: {image}, uid: 10001, resources: {{cpu: 20m, memory: 32Mi}}, storage: 100Mi}}
  environments:
    dev: {{size: one}}
"""
Change = Callable[[Object], None]


class Bench:
    """A stack of the test's own in a folder of its own, and the command line in that folder."""

    def __init__(self, folder: Path, image: str, cluster: Cluster, source: str = "") -> None:
        self.folder = folder
        self.cluster = cluster
        self.content: Object = yaml.safe_load(source or STACK.format(name="t", image=image))
        self.content["name"] = f"{self.content['name']}-{secrets.token_hex(3)}"
        self.write()

    @cached_property
    def stack(self) -> str:
        return str(self.content["name"])

    @property
    def namespace(self) -> str:
        return f"{self.stack}-dev"

    def write(self) -> None:
        (self.folder / "stack.yaml").write_text(yaml.safe_dump(self.content, allow_unicode=True))

    def change(self, change: Change) -> None:
        change(self.content)
        self.write()

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "holdfast", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own."""
        return subprocess.Popen(
            self.argv(*arguments),
            cwd=self.folder,
            env=kubernetes.own_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int = ExitCode.PASS) -> tuple[str, str]:
        """Run a command to its end, assert its exit code; returns stdout and stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=400)
        assert process.returncode == code, f"{arguments} ended {process.returncode}\n{out}\n{err}"
        return out, err

    def told(self, *arguments: str) -> Object:
        """Run a command with --json."""
        found: Object = json.loads(self.run(*arguments, "--json")[0])
        return found

    def up(self, *more: str, **options: Any) -> tuple[str, str]:
        return self.run("up", "--target", "cluster", "--stack", "./stack.yaml", *more, **options)

    @property
    def state(self) -> Path:
        return self.folder / ".holdfast" / "pulumi" / "state" / ".pulumi"

    def locks(self) -> list[Path]:
        return list((self.state / "locks").rglob("*.json"))

    def pending(self) -> list[Object]:
        """What Pulumi has begun and not reported done."""
        try:
            text = (self.state / "stacks" / "holdfast" / f"{self.stack}-dev.json").read_text()
            latest = json.loads(text)["checkpoint"].get("latest") or {}
        except (OSError, ValueError, KeyError):
            return []
        found: list[Object] = latest.get("pending_operations") or []
        return found

    @property
    def space(self) -> Cluster:
        """The cluster, in the stack's own namespace."""
        return Cluster(self.cluster.kubeconfig, self.namespace)

    def kubectl(self, *arguments: str) -> str:
        return self.space.kubectl(*arguments)

    def clear(self) -> None:
        self.cluster.try_kubectl("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="module")
def whole(was_up: bool) -> Cluster:
    kubernetes.succeed("up")
    return Cluster(Path(kubernetes.succeed("kubeconfig").strip()))


@pytest.fixture(scope="module")
def loaded(whole: Cluster) -> str:
    """An image of holdfast that the node has; the node may have several."""
    found = [name for entry in whole.get("node", "holdfast")["status"]["images"] for name in entry["names"]]
    pinned = [name for name in found if name.startswith("localhost/holdfast@sha256:")]
    return pinned[0] if pinned else kubernetes.succeed("image").strip()


@pytest.fixture
def bench(whole: Cluster, loaded: str, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, loaded, whole)
    yield made
    made.clear()


@pytest.fixture(scope="module")
def standing(whole: Cluster, loaded: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A stack that is up, every pod of it ready."""
    made = Bench(tmp_path_factory.mktemp("standing"), loaded, whole)
    out, err = made.up()
    assert f"{made.stack}-dev is up" in out
    assert "Pulumi talks to Kubernetes by" in err
    yield made
    made.clear()


def test_the_stand_in_lies_beside_our_clusters_kubeconfig_where_the_official_plugin_is_missing(whole: Cluster) -> None:
    if official_plugin():
        pytest.skip("the official plugin is installed, so it is used")
    done = kubernetes.run_cluster("up")
    assert "the stand-in of the tests is used on this cluster" in done.stderr
    assert (whole.kubeconfig.parent / "plugins" / "about").read_text() == "the stand-in of the tests\n"


# -- a stack that is up ------------------------------------------------------------------------------------------------


def test_after_an_up_all_is_ready_and_nothing_is_left_to_do(standing: Bench) -> None:
    ready = standing.kubectl("get", "statefulset/redis", "deployment/web-blue", "-o", "jsonpath={..readyReplicas}")
    assert ready.split() == ["1", "1"]
    again = standing.told("up", "--quiet")
    assert set(again["counts"]) == {"same"}, again["counts"]
    preview = standing.told("preview", "--quiet")
    assert set(preview["counts"]) == {"same"}
    assert {(found["region"], found["operation"]) for found in preview["operations"]} == {("primary", "same")}
    assert f"{standing.namespace}/StatefulSet/redis" in {found["name"] for found in preview["operations"]}
    assert standing.locks() == []


def test_an_edit_by_hand_is_named_by_refresh(standing: Bench) -> None:
    patch = json.dumps({"spec": {"selector": {"holdfast/color": "green"}}})
    standing.kubectl("patch", "service", "web", "--type=merge", "-p", patch)
    standing.kubectl("delete", "poddisruptionbudget", "redis")
    out, _ = standing.run("refresh")
    assert f"changed by hand: {standing.namespace}/Service/web: spec.selector.holdfast/color" in out
    assert f"changed by hand: {standing.namespace}/PodDisruptionBudget/redis: it is gone" in out
    preview, _ = standing.run("preview")
    assert f"create   primary   {standing.namespace}/PodDisruptionBudget/redis" in preview
    assert standing.told("up")["counts"]["create"] == 1
    selector = json.loads(standing.kubectl("get", "service", "web", "-o", "json"))["spec"]["selector"]
    assert selector["holdfast/color"] == "green", "a release owns it"
    standing.kubectl("patch", "service", "web", "--type=merge", "-p", patch.replace("green", "blue"))
    standing.run("refresh", "--quiet")


def test_an_up_has_the_colors_that_a_release_has_put_there(standing: Bench) -> None:
    colors = {"web": {"green": {"version": "2", "replicas": 1}, "blue": {"version": "1", "replicas": 1}}}
    text = f"--from-literal=colors.json={json.dumps(colors)}"
    standing.kubectl("create", "configmap", "holdfast-colors", text)
    preview, _ = standing.run("preview", "--quiet")
    assert f"create   primary   {standing.namespace}/Deployment/web-green" in preview
    assert "delete " not in preview
    standing.kubectl("delete", "configmap", "holdfast-colors")


def test_an_up_and_a_down_wait_for_nobody_who_holds_the_lock(standing: Bench) -> None:
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "holdfast", "namespace": standing.namespace},
        "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"},
    }
    standing.kubectl("delete", "lease", "holdfast", "--ignore-not-found")
    standing.space.apply(lease)
    down = standing.start("down", "--quiet")
    number = 0
    while down.poll() is None and number < 100:
        number += 1
        patch = json.dumps({"spec": {"renewTime": f"2026-01-01T00:00:{number % 60:02}.{number:06}Z"}})
        standing.kubectl("patch", "lease", "holdfast", "--type=merge", "-p", patch)
        time.sleep(0.3)
    assert down.wait(1) == ExitCode.REFUSED
    assert "somebody" in down.communicate()[1]
    standing.kubectl("delete", "lease", "holdfast")
    assert standing.kubectl("get", "deployment/web-blue", "-o", "name")


def test_down_keeps_the_data_and_down_with_data_leaves_nothing(standing: Bench) -> None:
    before = standing.kubectl("get", "pvc/data-redis-0", "-o", "jsonpath={.metadata.uid}")
    out, _ = standing.run("down")
    assert f"kept with its data: cluster/Namespace/{standing.namespace}" in out
    assert standing.kubectl("get", "all", "-o", "name") == ""
    standing.run("up")
    assert standing.kubectl("get", "pvc/data-redis-0", "-o", "jsonpath={.metadata.uid}") == before
    standing.run("down", "--data")
    assert standing.cluster.try_kubectl("get", "namespace", standing.namespace).returncode != 0
    assert "nothing" in standing.run("down")[0]
    assert not (standing.folder / ".holdfast" / "pulumi" / f"{standing.stack}-dev").exists()


# -- what waiting does not end -----------------------------------------------------------------------------------------


def without_image(content: Object) -> None:
    content["cluster"]["parts"]["redis"]["image"] = "localhost/nowhere:1"


def beyond_quota(content: Object) -> None:
    content["cluster"]["environments"]["dev"]["quota"] = {"pods": 1}


def without_class(content: Object) -> None:
    content["cluster"]["environments"]["dev"]["storage_class"] = "gold"


@pytest.mark.parametrize(
    ("plant", "names", "way_out"),
    [
        (without_image, ["localhost/nowhere:1", "Pod/redis-0", "ErrImageNeverPull"], "localhost/nowhere:1"),
        (beyond_quota, ["exceeded quota", "exceeds the quota"], "cluster.environments.dev.quota"),
        (without_class, ["class gold", "PersistentVolumeClaim/data-redis-0"], "cluster.environments.dev.storage_class"),
    ],
    ids=["image", "quota", "storage class"],
)
def test_an_up_that_cannot_end_says_so_early_and_its_way_out_leads_out(
    plant: Change, names: list[str], way_out: str, bench: Bench
) -> None:
    good = json.loads(json.dumps(bench.content))
    bench.change(plant)
    begin = time.monotonic()
    _, err = bench.up(code=ExitCode.UNKNOWN)
    assert time.monotonic() - begin < EARLY_S
    what, _, way = err.rpartition("error: ")[2].partition("way out: ")
    assert all(name in what for name in names), what
    assert f"{bench.namespace} cannot come up" in what
    assert way_out in way
    assert bench.locks() == []
    bench.content = good
    bench.write()
    out, _ = bench.run("up")
    assert "is up" in out


def test_an_up_that_does_not_wait_tells_what_became_of_each_image(bench: Bench) -> None:
    bench.change(without_image)
    out, _ = bench.up("--no-wait")
    assert "was accepted by the API server" in out
    assert any(
        line.startswith("not pulled localhost/nowhere:1 (1 pod): ErrImageNeverPull") for line in out.splitlines()
    )
    told = {entry["image"]: entry for entry in bench.told("up", "--no-wait", "--settle", "10")["images"]}
    assert told["localhost/nowhere:1"]["state"] == "not pulled"
    assert told["localhost/nowhere:1"]["because"].startswith("ErrImageNeverPull")
    assert [entry["state"] for image, entry in told.items() if image != "localhost/nowhere:1"] == ["ran"]


# -- an up that was cut off --------------------------------------------------------------------------------------------


def begun(bench: Bench) -> tuple[subprocess.Popen[str], list[int]]:
    """An `up` in which Pulumi makes objects now, and the pids of Pulumi's processes."""
    process = bench.start("up", "--target", "cluster", "--stack", "./stack.yaml", "--no-wait", "--settle", "0")
    me, pids = identify(process.pid), list[int]()
    assert me is not None
    end = time.monotonic() + 60
    while not bench.pending():
        assert time.monotonic() < end, "nothing was begun"
        assert process.poll() is None, process.communicate()
        pids = [identity.pid for identity, _ in tagged(OWNER, f"{me.pid}:{me.started}")]
    return process, pids


def test_ctrl_c_gives_the_lock_back_and_the_next_up_goes_on(bench: Bench) -> None:
    process, _ = begun(bench)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, err
    assert "gave its lock back" in err
    assert bench.locks() == []
    assert bench.told("up", "--no-wait", "--settle", "0")["counts"].keys() <= {"create", "same", "update"}
    assert set(bench.told("up", "--no-wait", "--settle", "0")["counts"]) == {"same"}


@pytest.mark.parametrize("pulumi_too", [True, False], ids=["with pulumi", "alone"])
def test_a_killed_up_is_put_right_by_the_next(pulumi_too: bool, bench: Bench) -> None:
    process, pids = begun(bench)
    for pid in (*(pids if pulumi_too else ()), process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=10)
    out, _ = bench.run("up", "--target", "cluster", "--stack", "./stack.yaml", "--no-wait", "--settle", "0")
    if pulumi_too:
        assert "put right: unlocked: process" in out
    assert set(bench.told("up", "--no-wait", "--settle", "0")["counts"]) == {"same"}
    assert set(bench.told("refresh")["counts"]) == {"same"}
    assert bench.locks() == []


def test_a_lock_of_another_machine_is_named_with_the_way_out_and_cancel_ends_it(bench: Bench) -> None:
    bench.up("--no-wait", "--settle", "0")
    folder = bench.state / "locks" / "organization" / "holdfast" / bench.namespace
    folder.mkdir(parents=True, exist_ok=True)
    lock = {"pid": 1, "username": "me", "hostname": "elsewhere", "timestamp": "2026-01-01T00:00:00Z"}
    (folder / "11111111-2222-3333-4444-555555555555.json").write_text(json.dumps(lock))
    _, err = bench.run("up", "--no-wait", code=ExitCode.REFUSED)
    assert "process 1 on elsewhere" in err
    assert "--cancel" in err
    bench.run("up", "--no-wait", "--settle", "0", "--cancel")
    assert bench.locks() == []


def test_a_namespace_of_another_home_is_not_taken_over(bench: Bench, tmp_path: Path) -> None:
    bench.up("--no-wait", "--settle", "0")
    _, err = bench.up("--no-wait", "--home", str(tmp_path / "another"), code=ExitCode.REFUSED)
    assert f"the namespace {bench.namespace} is there already" in err
    _, err = bench.run("up", "--target", "local", code=ExitCode.REFUSED)
    assert "up elsewhere" in err


def test_two_homes_share_a_backend_by_the_passphrase(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir()
    shared = ("--no-wait", "--settle", "0", "--backend", f"file://{tmp_path / 'state'}")
    bench.up(*shared)
    _, err = bench.up(*shared, "--home", "second", code=ExitCode.REFUSED)
    assert "PULUMI_CONFIG_PASSPHRASE" in err
    kept = json.loads((tmp_path / ".holdfast" / "pulumi" / "passphrase.json").read_text())
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", kept["passphrase"])
    out, _ = bench.up(*shared, "--home", "second", "--json")
    assert set(json.loads(out)["counts"]) == {"same"}
    assert set(bench.told("up", "--no-wait", "--settle", "0")["counts"]) == {"same"}


def test_a_cluster_that_is_gone_for_good_is_forgotten(bench: Bench) -> None:
    bench.up("--no-wait", "--settle", "0")
    bench.run("down", "--gone")
    assert "nothing" in bench.run("down", "--target", "cluster", "--stack", "./stack.yaml")[0]
    assert bench.kubectl("get", "deployment/web-blue", "-o", "name"), "it was not asked"


def test_a_namespace_that_was_taken_away_is_made_again(bench: Bench) -> None:
    first = bench.told("up", "--target", "cluster", "--stack", "./stack.yaml", "--no-wait", "--settle", "0")
    bench.cluster.kubectl("delete", "namespace", bench.namespace, timeout=120)
    again = bench.told("up", "--no-wait", "--settle", "0")
    assert len(again["operations"]) == len(first["operations"])
    until(lambda: bench.kubectl("get", "deployment", "-o", "name"), "it is there again", 5)


# -- the four stacks ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def istio(whole: Cluster) -> Iterator[None]:
    """Istio's kinds without Istio: the API server takes their objects, nobody acts on them."""
    whole.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(DEFINITIONS))
    names = [f"crd/{entry['metadata']['name']}" for entry in DEFINITIONS["items"]]
    whole.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    yield
    whole.kubectl("delete", "--wait=false", *names)


@pytest.mark.usefixtures("istio")
@pytest.mark.parametrize("name", ["sparkle", "agno", "macjarvis", "sage"])
def test_each_of_the_four_stacks_is_previewed_accepted_whole_and_has_no_second_change(
    name: str, whole: Cluster, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, "", whole, (content_root() / "infra" / "stacks" / f"{name}.yaml").read_text())
    bench.change(lambda content: content["cluster"].update(pull="Never"))
    try:
        preview = bench.told("preview", "--target", "cluster", "--stack", "./stack.yaml")
        assert preview["seconds"] < PREVIEW_S
        assert set(preview["counts"]) == {"create"}
        up = bench.told("up", "--target", "cluster", "--stack", "./stack.yaml", "--no-wait")
        assert up["counts"] == preview["counts"]
        assert {entry["state"] for entry in up["images"]} <= {"ran", "not pulled", "pending", "no pod", "crashes"}
        assert all(entry["because"] for entry in up["images"] if entry["state"] != "ran")
        assert set(bench.told("up", "--no-wait", "--settle", "0")["counts"]) == {"same"}
    finally:
        bench.run("down", "--data")
    assert whole.try_kubectl("get", "namespace", bench.namespace).returncode != 0
