"""The verbs against a real API server: everything accepted, nothing left to do, nothing left behind, and cut-off runs.

Which plugin ran is printed by the fixture `plane`; with the stand-in these tests say nothing about the official one.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from program.conftest import Plane, Provision, Standing
from support import sample
from support.istio import DEFINITIONS

from holdfast.children import Identity, identify, tagged
from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.automation import settings as where
from holdfast.infra.automation.command import OWNER
from holdfast.infra.automation.verbs import Provisioner
from holdfast.infra.program.desired import ColorState, Desired
from holdfast.infra.stack import Color
from holdfast.timeline import Event

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    # Pulumi's own language server leaves its event loop open when the engine ends a run early
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PREVIEW_S = 15.0


@pytest.fixture(scope="module", autouse=True)
def istio(plane: Plane) -> None:
    """Istio's kinds without Istio: the API server takes their objects, nobody acts on them."""
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(DEFINITIONS))
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")


@pytest.mark.parametrize("name", ["sparkle", "agno", "macjarvis", "sage"] if sample.whole() else ["sage"])
def test_a_whole_stack_is_previewed_accepted_and_taken_away(name: str, plane: Plane, provision: Provision) -> None:
    stack = provision(name)
    first = stack.preview()
    assert first.seconds < PREVIEW_S
    assert set(first.counts) == {"create"}
    up = stack.up()
    assert up.counts == first.counts
    assert sorted(up.objects) == sorted(first.objects)
    space = f"{name}-staging"
    listed = plane.kubectl.get("deployments,statefulsets,services,networkpolicies", "-n", space)["items"]
    assert len(listed) > 20
    again = stack.up()
    assert again.none, again.changed
    assert stack.preview().none
    refreshed = stack.refresh()
    assert refreshed.none, refreshed.changed
    assert stack.down().counts == {"delete": up.counts["create"]}
    assert space not in plane.kubectl("get", "namespaces", "-o", "name")


def test_a_change_by_hand_is_named_and_one_that_a_release_made_stays(plane: Plane, standing: Standing) -> None:
    stack = standing.stack
    patch = {"spec": {"selector": {"holdfast/color": "green"}}}
    plane.kubectl("-n", "sage-dev", "patch", "service", "memory", "--type=merge", "-p", json.dumps(patch))
    found = stack.refresh()
    assert found.changed == {"sage-dev/Service/memory": "update: spec.selector.holdfast/color"}
    assert stack.preview().none
    assert stack.up().none
    selector = plane.kubectl.get("service", "memory", "-n", "sage-dev")["spec"]["selector"]
    assert selector["holdfast/color"] == "green"
    patch["spec"]["selector"]["holdfast/color"] = "blue"
    plane.kubectl("-n", "sage-dev", "patch", "service", "memory", "--type=merge", "-p", json.dumps(patch))


def test_a_field_that_somebody_else_took_is_not_taken_back_silently(plane: Plane, standing: Standing) -> None:
    stack = standing.stack
    plane.kubectl("-n", "sage-dev", "scale", "deployment", "monitoring-grafana", "--replicas=3")
    assert stack.refresh().changed["sage-dev/Deployment/monitoring-grafana"] == "update: spec.replicas"
    with pytest.raises(EnvironmentFailed) as found:
        stack.up()
    assert "kubectl" in found.value.because
    assert ".spec.replicas" in found.value.because
    plane.kubectl("-n", "sage-dev", "scale", "deployment", "monitoring-grafana", "--replicas=1")


def test_every_change_is_on_the_timeline(standing: Standing) -> None:
    up, events = standing.up, standing.events
    begun = [event.data["object"] for event in events if event.name == "pulumi.begin"]
    done = [event.data["object"] for event in events if event.name == "pulumi.done"]
    assert sorted(begun) == sorted(done) == sorted(up.changed)


def test_secrets_lie_nowhere_in_plain(standing: Standing) -> None:
    stack = standing.stack
    config = stack._open().get_all_config()
    values = [value.value for key, value in config.items() if key.endswith("-password")]
    assert len(values) == 2
    forms = [form for value in values for form in (value, base64.b64encode(value.encode()).decode())]
    files = [path for path in where.folder(stack.home).rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path for path in files for form in forms if form.encode() in path.read_bytes()] == []


def test_a_stack_that_breaks_the_policy_changes_nothing(
    plane: Plane, provision: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = provision("sage")
    monkeypatch.setattr("holdfast.infra.program.colored_service.image_of", lambda *args: "memory:latest")
    with pytest.raises(Refused, match="break the policy"):
        stack.up()
    assert "sage-staging" not in plane.kubectl("get", "namespaces", "-o", "name")
    monkeypatch.undo()


def test_a_new_version_of_a_color_makes_new_immutable_configuration(plane: Plane, standing: Standing) -> None:
    stack = standing.stack
    states: dict[str, dict[Color, ColorState]] = {
        "memory": {"blue": ColorState(version="2.0.0", replicas=1, config={"ttl_s": 5})}
    }
    newer = msgspec.structs.replace(stack.settings, desired=Desired(colors=states))
    changed = Provisioner(stack.stack, stack.home, newer).up().changed
    kinds = {(key.split("/")[1], op.partition(":")[0]) for key, op in changed.items()}
    assert kinds == {("ConfigMap", "create"), ("ConfigMap", "delete"), ("Deployment", "update")}
    maps = [
        m for m in plane.kubectl.get("configmaps", "-n", "sage-dev")["items"] if "memory-blue" in m["metadata"]["name"]
    ]
    assert [entry["immutable"] for entry in maps] == [True]
    assert json.loads(maps[0]["data"]["config.json"]) == {"ttl_s": 5}


CHILD = """
import sys, msgspec
from holdfast.infra.automation.settings import Settings
from holdfast.infra.automation.verbs import Provisioner
from holdfast.infra.home import home_at
from holdfast.infra.stack import load_stack
settings = msgspec.json.decode(sys.argv[2], type=Settings)
Provisioner(load_stack("sage"), home_at(sys.argv[1]), settings).up()
"""


def killed_up(stack: Provisioner) -> list[str]:
    """SIGKILL a whole `up`, Pulumi's processes too, while objects are made; return what was pending."""
    argv = [sys.executable, "-P", "-c", CHILD, str(stack.home.root), msgspec.json.encode(stack.settings).decode()]
    child = subprocess.Popen(argv, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = where.folder(stack.home) / "state" / ".pulumi" / "stacks" / "holdfast" / "sage-staging.json"
    end = time.monotonic() + 60
    me = identify(child.pid)
    assert me is not None
    found: list[str] = []
    pulumi: list[Identity] = []
    try:
        while not found:
            assert time.monotonic() < end, "the up was over before it could be killed"
            assert child.poll() is None, "the up was over before it could be killed"
            pulumi = [identity for identity, _ in tagged(OWNER, f"{me.pid}:{me.started}")]
            found = pending_in(state)
    finally:
        for identity in (*pulumi, me):
            identity.send(signal.SIGKILL)
        child.wait()
        for identity in [*pulumi, *(one for one, _ in tagged(OWNER, f"{me.pid}:{me.started}"))]:
            identity.send(signal.SIGKILL)  # one that was started meanwhile
            assert identity.wait(10)
    return pending_in(state)


def pending_in(state: Path) -> list[str]:
    try:
        content = json.loads(state.read_text())
    except (OSError, ValueError):
        return []
    latest = content.get("checkpoint", {}).get("latest") or {}
    return [entry["resource"]["urn"] for entry in latest.get("pending_operations") or []]


def test_an_up_that_was_killed_is_repaired_and_finished(provision: Provision, events: list[Event]) -> None:
    stack = provision("sage")
    stack.preview()
    assert any(killed_up(stack) for _ in range(5))  # an object may be done between the look and the kill
    up = stack.up()
    assert any(line.startswith("unlocked: process") for line in up.repaired)
    assert any("was cut off" in line for line in up.repaired)
    assert "pulumi.unlocked" in [event.name for event in events]
    assert stack.up().none
    assert stack.refresh().none


def lock(stack: Provisioner, pid: int, host: str = "") -> Path:
    folder = where.folder(stack.home) / "state" / ".pulumi" / "locks" / "organization" / "holdfast" / stack.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "11111111-2222-3333-4444-555555555555.json"
    content = {
        "pid": pid,
        "username": "me",
        "hostname": host or os.uname().nodename,
        "timestamp": "2026-01-01T00:00:00Z",
    }
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("host", ["", "elsewhere"])
def test_a_lock_that_may_be_held_is_respected_until_a_person_says_otherwise(host: str, provision: Provision) -> None:
    stack = provision("sage")
    stack.preview()
    path = lock(stack, os.getpid(), host)
    with pytest.raises(Refused) as found:
        stack.up()
    assert f"process {os.getpid()}" in found.value.because
    assert "--cancel" in found.value.way_out
    assert path.exists()
    stack.cancel()
    assert not path.exists()


def test_pulumi_whose_command_was_killed_is_ended_by_the_next_one(provision: Provision) -> None:
    stack = provision("sage")
    stack.preview()
    dead = subprocess.Popen(["sleep", "60"])
    gone = identify(dead.pid)
    dead.kill()
    dead.wait()
    assert gone is not None
    left = subprocess.Popen(["sleep", "60"], env={**os.environ, OWNER: f"{gone.pid}:{gone.started}"})
    try:
        path = lock(stack, left.pid)
        repaired = stack.repair()
        assert len(repaired) == 1
        assert "whose command was killed, ended" in repaired[0]
        assert not path.exists()
        assert left.wait(5) == -signal.SIGINT
    finally:
        left.kill()
        left.wait()
