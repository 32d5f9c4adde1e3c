"""The third switch and the cuts against a real API server: what it accepts, keeps, refuses, and who owns what then.

The Gateway API's kinds are a part of their definitions, written by hand (tests/support/gateway_api.py): the server
checks the objects by a real structural schema. No implementation runs: what one would say in a status is written by the
tests, and nothing is said of traffic. Nothing enforces the NetworkPolicies here either: what the objects that the
server keeps would let through is asked of the tests' evaluator.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from program.conftest import Plane
from support import gateway_api
from support.network_policies import Pod, allowed
from support.switched import behind_gateway

from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.home import Home
from holdfast.infra.program.assembly import manifests
from holdfast.infra.program.desired import Desired
from holdfast.infra.stack import Stack
from holdfast.infra.target import CanCut, RouteTable
from holdfast.infra.targets.cluster import cuts, table
from holdfast.infra.targets.cluster.access import Access
from holdfast.infra.targets.cluster.api import Api, Object
from holdfast.infra.targets.cluster.provision import ClusterProvision
from holdfast.infra.targets.cluster.switches.gateway_api import NAME, GatewayWeights
from holdfast.infra.targets.cluster.target import ClusterTarget
from holdfast.infra.targets.kept import Where

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

KINDS = ("Namespace", "NetworkPolicy", "Service")
UP = "pulumi-kubernetes-tests"
"""The field manager of what an `up` makes."""
BLUE = RouteTable(weights={"gateway": {"blue": 100}, "engine": {"blue": 100}}, token=7, serial=1)
GREEN = BLUE.moved({"gateway": "green", "engine": "green"}, 8)
SHARED = BLUE.shared({"gateway": "green", "engine": "green"}, {"gateway": "blue", "engine": "blue"}, 25, 8)


@pytest.fixture(scope="module", autouse=True)
def gateway_kinds(plane: Plane) -> Iterator[None]:
    """The definitions, unless the cluster has its own."""
    there = plane.kubectl("get", "crd", "-o", "name")
    own = [one for one in gateway_api.DEFINITIONS["items"] if one["metadata"]["name"] not in there]
    for one in own:
        plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(one))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", one["metadata"]["name"])
    yield
    for one in own:
        plane.kubectl("delete", "crd", one["metadata"]["name"], "--timeout=60s")


class Place:
    """A stack behind a Gateway, as an `up` leaves it: its Services and policies, without pods."""

    def __init__(self, plane: Plane, folder: Path) -> None:
        self.kubectl = plane.kubectl
        self.front = f"front-{uuid.uuid4().hex[:8]}"
        self.stack: Stack = behind_gateway(f"{self.front}/gate", name=f"s{uuid.uuid4().hex[:8]}")
        where, access = Where(target="cluster", environment="staging"), Access(kubeconfig=str(plane.kubeconfig))
        provision = ClusterProvision(self.stack, Home(folder / "home").make(), where, access)
        self.target = ClusterTarget(self.stack, provision.home, provision)
        self.api, self.space = provision.api, provision.place.namespace
        assert isinstance(self.target.switch, GatewayWeights)
        self.switch = self.target.switch
        self.made = [
            made
            for made in manifests(self.stack, "staging", Desired())["primary"]
            if made["kind"] in KINDS and made["metadata"].get("namespace", self.space) == self.space
        ]

    def up(self, *made: Object) -> None:
        """Apply as Pulumi's plugin does: server-side, conflicts are refused."""
        text = yaml.safe_dump_all(list(made) or self.made)
        self.kubectl("apply", "--server-side", f"--field-manager={UP}", "-f", "-", stdin=text)

    def gate(self) -> None:
        """A Gateway in a namespace of its own."""
        self.kubectl("create", "namespace", self.front)
        listeners = [{"name": "http", "port": 8080, "protocol": "HTTP"}]
        gateway = {
            "apiVersion": f"{gateway_api.GROUP}/v1",
            "kind": "Gateway",
            "metadata": {"name": "gate", "namespace": self.front},
            "spec": {"gatewayClassName": "none", "listeners": listeners},
        }
        self.kubectl("apply", "-f", "-", stdin=json.dumps(gateway))

    def down(self) -> None:
        for space in (self.space, self.front):
            self.kubectl("delete", "namespace", space, "--ignore-not-found", "--wait=false")

    def route(self) -> Object:
        return self.api.get("HTTPRoute", NAME)

    def policy(self, name: str) -> Object:
        return self.api.get("NetworkPolicy", name)

    def takes(self, status: str = "True") -> None:
        """Say what an implementation says of the route as it is now."""
        route = self.route()
        said = [
            {
                "type": kind,
                "status": status,
                "observedGeneration": route["metadata"]["generation"],
                "lastTransitionTime": "2026-11-21T00:00:00Z",
                "reason": kind,
                "message": "said by a test",
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]
        parent = {**route["spec"]["parentRefs"][0]}
        entry = {"parentRef": parent, "controllerName": "tests.example/none", "conditions": said}
        self.api.patch("HTTPRoute", NAME, {"status": {"parents": [entry]}}, under="status")

    def endpoints(self, service: str, color: str) -> None:
        """Say what the endpoint controller says of a Service when a pod of a color is ready."""
        piece = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{service}-tests",
                "namespace": self.space,
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": ["192.0.2.1"],
                    "conditions": {"ready": True},
                    "targetRef": {"kind": "Pod", "name": f"{service}-{color}-1", "namespace": self.space},
                }
            ],
        }
        self.api.apply(piece)

    def reaches(self, source: str, to: str, port: int) -> bool:
        """What the policies that the server keeps would let through."""
        mine, theirs = (Pod(self.target.place.selector(part), namespace=self.space) for part in (source, to))
        return allowed(self.api.list("NetworkPolicy"), mine, theirs, port)


@pytest.fixture
def place(plane: Plane, tmp_path: Path) -> Iterator[Place]:
    made = Place(plane, tmp_path)
    try:
        made.up()
        made.gate()
        yield made
    finally:
        made.down()


# -- the switch ----------------------------------------------------------------------------------------------------


def test_a_table_is_in_force_when_the_gateway_has_taken_its_route_and_the_services_lead_there(place: Place) -> None:
    assert not place.switch.in_force(BLUE)
    place.switch.write(BLUE)
    assert place.switch.drift() == []  # what the server fills in is no difference
    assert not place.switch.in_force(BLUE)
    place.takes()
    assert not place.switch.in_force(BLUE)
    for service in place.stack.services:
        place.endpoints(service, "blue")
    assert place.switch.in_force(BLUE)
    place.takes("False")
    assert not place.switch.in_force(BLUE)


def test_each_table_is_a_new_generation_that_has_to_be_taken_again(place: Place) -> None:
    place.switch.write(BLUE)
    place.takes()
    for service in place.stack.services:
        place.endpoints(service, "blue")
    place.switch.write(SHARED)
    assert not place.switch.in_force(SHARED)
    assert [one["weight"] for one in place.route()["spec"]["rules"][1]["backendRefs"]] == [75, 25]
    assert place.switch.drift() == []
    place.takes()
    assert place.switch.in_force(SHARED)
    assert not place.switch.in_force(GREEN)
    place.switch.write(GREEN)
    assert table.read(place.api) == GREEN
    assert place.api.get("Service", "engine")["spec"]["selector"]["holdfast/color"] == "green"


def test_a_table_again_writes_nothing(place: Place) -> None:
    place.switch.write(BLUE)
    before = place.route()["metadata"]["resourceVersion"]
    place.switch.write(BLUE)
    assert place.route()["metadata"]["resourceVersion"] == before


def test_a_change_by_hand_is_drift_and_is_named(place: Place) -> None:
    place.switch.write(BLUE)
    rules = place.route()["spec"]["rules"]
    rules[1]["backendRefs"][1]["weight"] = 30
    place.api.patch("HTTPRoute", NAME, {"spec": {"rules": rules, "hostnames": ["a.example"]}})
    assert sorted(place.switch.drift()) == [
        "HTTPRoute edge: hostnames was added",
        "HTTPRoute edge: rules[1].backendRefs[1].weight is 30, not 0",
    ]
    place.switch.write(BLUE)
    assert place.switch.drift() == []
    place.api.delete("HTTPRoute", NAME)
    assert place.switch.drift() == ["HTTPRoute edge: it is not there"]


def test_an_operation_that_was_overtaken_does_not_move_the_route(place: Place) -> None:
    place.switch.write(GREEN)
    before = place.route()
    with pytest.raises(Refused, match="overtaken"):
        place.switch._write_route(BLUE)  # as one that was cut off between the table and the route
    assert place.route() == before


class Meddled(Api):
    """A cluster where somebody else notes something on the object just before it is written."""

    def __init__(self, *args: Any, times: int) -> None:
        super().__init__(*args)
        self.times = times

    def replace(self, made: Object) -> Object:
        if self.times:
            self.times -= 1
            note = {"metadata": {"annotations": {"theirs": str(self.times)}}}
            self.patch(made["kind"], made["metadata"]["name"], note)
        return super().replace(made)


def test_a_write_that_meets_another_looks_again_and_keeps_what_the_other_noted(place: Place, plane: Plane) -> None:
    place.switch.write(BLUE)
    meddled = Meddled(plane.kubeconfig, place.space, times=2)
    GatewayWeights(meddled, place.stack, place.target.place).write(GREEN)
    route = place.route()
    assert route["metadata"]["annotations"] == {"theirs": "0", "holdfast/token": "8"}
    assert [one["weight"] for one in route["spec"]["rules"][1]["backendRefs"]] == [0, 100]


def test_without_its_gateway_a_stack_is_not_switched_and_the_gateway_is_named(place: Place) -> None:
    place.kubectl("delete", "gateway", "gate", "-n", place.front)
    with pytest.raises(EnvironmentFailed, match=f"no Gateway gate in the namespace {place.front}"):
        place.switch.write(BLUE)


def test_clients_are_sent_to_the_address_of_the_gateway(place: Place) -> None:
    with pytest.raises(EnvironmentFailed, match="no address in its status"):
        place.target.edge_url()
    status = json.dumps({"status": {"addresses": [{"value": "192.0.2.9"}]}})
    place.kubectl("patch", "gateway", "gate", "-n", place.front, "--subresource=status", "--type=merge", "-p", status)
    assert place.target.edge_url() == "http://192.0.2.9:8080"
    assert place.switch.preview("192.0.2.1") == "http://192.0.2.9:8080"


@contextmanager
def answering(headers: dict[str, str]) -> Iterator[int]:
    """A server on this machine that stands where a Gateway would answer, and says these headers; yields its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *said: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("headers", "shared"), [({"x-holdfast-color": "green"}, "green"), ({}, "")])
def test_the_color_is_what_the_service_says_else_the_one_that_has_all_the_weight(
    place: Place, headers: dict[str, str], shared: str
) -> None:
    place.switch.write(BLUE)
    place.takes()
    for service in place.stack.services:
        place.endpoints(service, "blue")
    with answering(headers) as port:
        status = json.dumps({"status": {"addresses": [{"value": "127.0.0.1"}]}})
        listeners = json.dumps({"spec": {"listeners": [{"name": "http", "port": port, "protocol": "HTTP"}]}})
        gate = ["patch", "gateway", "gate", "-n", place.front, "--type=merge", "-p"]
        place.kubectl(*gate, listeners)
        place.kubectl(*gate, status, "--subresource=status")
        assert place.target.edge_color() == (headers.get("x-holdfast-color") or "blue")
        place.switch.write(SHARED)
        place.takes()
        assert place.target.edge_color() == shared
    assert place.target.edge_color() == ""


def test_a_color_is_unseen_until_its_endpoints_are_there(place: Place) -> None:
    pod = "192.0.2.1"
    assert place.switch.unseen("gateway", "green", [pod]) == "Service gateway-green has 0 of its 1 pods"
    place.endpoints("gateway-green", "green")
    assert place.switch.unseen("gateway", "green", [pod]) == ""
    assert place.switch.unseen("gateway", "green", [pod, "192.0.2.2"]) != ""


@pytest.mark.parametrize(("field", "value"), [("weight", "many"), ("weight", -1), ("port", 0), ("name", "")])
def test_the_server_refuses_what_is_no_route(place: Place, field: str, value: object) -> None:
    """The planted failure: the schema by which the others are accepted does refuse."""
    place.switch.write(BLUE)
    rules = place.route()["spec"]["rules"]
    rules[1]["backendRefs"][0][field] = value
    with pytest.raises(EnvironmentFailed, match=f"backendRefs.*{field}"):
        place.api.patch("HTTPRoute", NAME, {"spec": {"rules": rules}})


# -- cuts ----------------------------------------------------------------------------------------------------------


def test_a_way_is_open_before_closed_during_and_open_after_a_cut(place: Place) -> None:
    assert isinstance(place.target, CanCut)
    assert place.reaches("engine", "postgres", 5432)
    before = place.policy("engine")
    place.target.cut("engine", "postgres")
    assert place.target.cuts() == [("engine", "postgres")]
    assert not place.reaches("engine", "postgres", 5432)
    assert place.reaches("engine", "redis", 6379)
    written = place.policy("engine")
    place.target.cut("engine", "postgres")
    assert place.policy("engine") == written
    place.target.heal("engine", "postgres")
    place.target.heal("engine", "postgres")
    assert place.target.cuts() == []
    assert place.reaches("engine", "postgres", 5432)
    assert lasting(place.policy("engine")) == lasting(before)


def lasting(policy: Object) -> Object:
    """What of an object says how it is, and whose its fields are; not how often it was written, nor when."""
    metadata = {key: value for key, value in policy["metadata"].items() if key not in ("resourceVersion", "generation")}
    fields = [{key: value for key, value in one.items() if key != "time"} for one in metadata["managedFields"]]
    return {**policy, "metadata": {**metadata, "managedFields": fields}}


def test_an_up_during_a_cut_is_refused_and_one_after_its_heal_changes_the_policy_as_before(place: Place) -> None:
    wanted = next(made for made in place.made if made["metadata"]["name"] == "engine" and "egress" in made["spec"])
    changed = {**wanted, "spec": {**wanted["spec"], "egress": wanted["spec"]["egress"][:-1]}}
    place.target.cut("engine", "postgres")
    with pytest.raises(AssertionError, match=r'conflict with "holdfast".*\.spec\.egress'):
        place.up(changed)
    place.target.heal("engine", "postgres")
    place.up(changed)
    assert len(place.policy("engine")["spec"]["egress"]) == len(changed["spec"]["egress"])


class Killed(Exception):
    """The end of a process."""


class Mortal(Api):
    """A client whose process is killed at a write: before it, or before it hears of it."""

    def __init__(self, *args: Any, at: int, heard: bool) -> None:
        super().__init__(*args)
        self.left, self.heard = at, heard

    def replace(self, made: Object) -> Object:
        self.left -= 1
        if self.left:
            return super().replace(made)
        if not self.heard:
            super().replace(made)
        raise Killed


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("at", [1, 2])
def test_a_heal_that_is_killed_anywhere_is_listed_until_another_ends_it(
    place: Place, plane: Plane, at: int, heard: bool
) -> None:
    before = place.policy("engine")
    place.target.cut("engine", "postgres")
    mortal = Mortal(plane.kubeconfig, place.space, at=at, heard=heard)
    with pytest.raises(Killed):
        cuts.heal(mortal, place.target.place, "engine", "postgres")
    done = (at, heard) == (2, False)
    assert place.target.cuts() == ([] if done else [("engine", "postgres")])
    for source, to in place.target.cuts():
        place.target.heal(source, to)
    assert place.target.cuts() == []
    assert lasting(place.policy("engine")) == lasting(before)


def test_a_cut_that_is_killed_is_there_whole_or_not_at_all(place: Place, plane: Plane) -> None:
    for heard in (True, False):
        mortal = Mortal(plane.kubeconfig, place.space, at=1, heard=heard)
        with suppress(Killed):
            cuts.cut(mortal, place.target.place, "engine", "postgres")
        assert bool(place.target.cuts()) is not place.reaches("engine", "postgres", 5432)
    assert place.target.cuts() == [("engine", "postgres")]


def test_cuts_of_one_source_at_the_same_time_all_hold_and_all_heal(place: Place) -> None:
    before, ends = place.policy("engine"), ("postgres", "redis", "tools")
    with ThreadPoolExecutor(max_workers=3) as pool:
        list(pool.map(lambda end: place.target.cut("engine", end), ends))
        assert place.target.cuts() == [("engine", end) for end in ends]
        assert not place.reaches("engine", "redis", 6379)
        list(pool.map(lambda end: place.target.heal("engine", end), ends))
    assert place.target.cuts() == []
    assert lasting(place.policy("engine")) == lasting(before)


def test_a_cut_that_another_policy_would_undo_is_refused_by_its_name_and_nothing_is_changed(place: Place) -> None:
    theirs = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "theirs", "namespace": place.space},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    }
    place.api.create(theirs)
    before = place.policy("engine")
    with pytest.raises(Refused) as found:
        place.target.cut("engine", "postgres")
    assert "theirs" in found.value.because
    assert place.policy("engine") == before


@pytest.mark.parametrize(("source", "to"), [("nobody", "redis"), ("engine", "engine"), ("gateway", "postgres")])
def test_what_is_no_way_of_the_stack_is_not_cut(place: Place, source: str, to: str) -> None:
    with pytest.raises(Refused, match=f"from {source} to {to}"):
        place.target.cut(source, to)
    assert place.target.cuts() == []
