"""A whole stack that runs: preview, services released alone, the edge and its restarts, two stacks at once."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from support.stack import Sparkle, nothing_left, quick_stack, refusal, sparkle, verdict, wait_until
from support.supervised import kill_supervisor

from holdfast.children import identify
from holdfast.errors import GateFailed
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.local.ports import client_ports
from holdfast.verdict import Outcome

pytestmark = pytest.mark.slow

PREVIEW = {"x-holdfast-preview": "idle"}


@pytest.fixture
def fresh(tmp_path: Path, releases: Path) -> Iterator[Sparkle]:
    """A stack of a test's own, up and without a release; one instance a service."""
    with sparkle(tmp_path, releases, stack=quick_stack(1)) as stack:
        yield stack


def colors(answer: httpx.Response) -> dict[str, str]:
    """Which color of which service served a chat."""
    return {name: who["color"] for name, who in answer.json()["served_by"].items()}


def test_up_again_changes_nothing(stack: Sparkle) -> None:
    before = {name: kept.identity for name, kept in stack.units().items()}
    stack.target.up()
    assert {name: kept.identity for name, kept in stack.units().items()} == before
    assert stack.target.is_up()


def test_every_port_lies_outside_the_range_of_client_ports(stack: Sparkle) -> None:
    ports = stack.target.provision._ports()
    assert len(set(ports.values())) == len(ports)
    assert not set(ports.values()) & set(client_ports())
    assert stack.target.provision._ports() == ports


def test_the_preview_leads_to_the_idle_color_and_to_its_own_engine(stack: Sparkle) -> None:
    idle = {}

    def gate(placement: dict[str, str]) -> object:
        idle.update(placement)
        for _ in range(6):
            assert colors(stack.chat(**PREVIEW)) == placement
            assert colors(stack.chat()) == stack.live() != placement
        assert stack.get(**PREVIEW).headers["x-holdfast-color"] == placement["gateway"]
        return verdict(Outcome.FAIL)

    with pytest.raises(GateFailed):
        stack.desk(gate=gate).deploy("v2")
    assert set(idle) == {"gateway", "engine"}
    assert stack.get(**PREVIEW).status_code == 503


def test_a_deploy_and_a_rollback_leave_the_stack_as_it_was_but_for_what_they_keep(stack: Sparkle) -> None:
    before = stack.live()
    result = stack.desk().deploy("v2")
    assert result.state == "holding"
    assert stack.live() == result.placement != before
    assert stack.live_version() == "v2"
    assert stack.desk().rollback().state == "done"
    assert (stack.live(), stack.live_version()) == (before, "v1")
    held = {name for name, kept in stack.units().items() if kept.expires_at}
    assert len(held) == 4
    stack.settle()


def test_each_operation_of_a_release_is_in_the_history_with_its_outcome(stack: Sparkle) -> None:
    stack.desk().deploy("v2")
    stack.desk().rollback()
    deploy, rollback = stack.journal.operations()[-2:]
    assert (deploy.kind, deploy.outcome, deploy.plan["version"]) == ("deploy", "rolled back", "v2")
    assert (rollback.kind, rollback.outcome, rollback.plan["version"]) == ("rollback", "done", "v1")
    assert rollback.plan["closes"] == deploy.name
    stack.settle()


def test_envoy_takes_every_table_that_we_write(stack: Sparkle) -> None:
    before = stack.target.live()
    admin = f"http://127.0.0.1:{stack.target.provision.port('edge-admin')}/stats?filter=rds"
    tables = [
        RouteTable(weights={"gateway": {"blue": 100}}),
        RouteTable(weights={"gateway": {"blue": 99, "green": 1}, "engine": {"green": 50, "blue": 50}}),
        RouteTable(weights=before.weights, preview={"gateway": "green"}),
        RouteTable(),
        before,
    ]
    for serial, table in enumerate(tables, before.serial + 1):
        numbered = RouteTable(weights=table.weights, preview=table.preview, token=before.token, serial=serial)
        stack.target.route(numbered)
        wait_until(partial(stack.target.in_force, numbered), f"table {serial} is in force")
    counted = dict(line.split(": ", 1) for line in httpx.get(admin).text.splitlines())
    assert counted["http.edge.rds.holdfast.update_rejected"] == "0"


def test_a_table_under_an_older_token_is_refused(stack: Sparkle) -> None:
    table = stack.target.live()
    stale = RouteTable(weights=table.weights, token=table.token - 1, serial=table.serial + 1)
    assert "overtaken" in refusal(lambda: stack.target.route(stale)).what
    assert stack.target.live() == table


def test_a_color_that_is_live_is_never_stopped(stack: Sparkle) -> None:
    assert "is live and is not stopped" in refusal(lambda: stack.target.stop(stack.placement())).what
    assert stack.get().status_code == 200


@pytest.mark.parametrize("unit", ["edge", "postgres", "redis"])
def test_a_killed_part_is_started_again_and_the_stack_serves(stack: Sparkle, unit: str) -> None:
    restarts = stack.units()[unit].restarts
    stack.target.kill(unit)
    wait_until(lambda: stack.units()[unit].restarts > restarts, f"{unit} was started again")

    def serves() -> bool:
        try:
            return stack.chat().status_code == 200
        except httpx.TransportError:
            return False

    wait_until(serves, f"it serves after {unit} was killed", 20)
    assert colors(stack.chat()) == stack.live()


def test_traffic_goes_on_while_an_instance_is_killed(stack: Sparkle) -> None:
    address = stack.target.addresses(stack.placement())[0]
    instance = address.instance
    with httpx.Client(base_url=stack.url) as client:
        for number in range(60):
            if number == 20:
                stack.target.kill(instance)
            assert client.get("/v1/whoami").status_code == 200
    wait_until(lambda: stack.target.successor(address), f"{instance} was started again")

    def ready() -> bool:
        try:
            return httpx.get(f"{address.probe}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(ready, f"{instance} is ready")


def test_a_killed_supervisor_takes_nothing_with_it(stack: Sparkle) -> None:
    before = {name: kept.identity for name, kept in stack.units().items()}
    kill_supervisor(stack.home.root)
    assert stack.chat().status_code == 200
    stack.target.supervisor.ensure()
    assert {name: kept.identity for name, kept in stack.units().items()} == before


# -- stacks of a test's own --------------------------------------------------------------------------------------------


def test_the_first_release_is_gated_and_leaves_nothing_when_it_fails(fresh: Sparkle) -> None:
    before = set(fresh.units())
    assert fresh.get().status_code == 503
    with pytest.raises(GateFailed):
        fresh.desk(gate=lambda *_: verdict(Outcome.FAIL)).deploy("v1")
    assert (set(fresh.units()), fresh.target.live().weights) == (before, {})
    with pytest.raises(GateFailed):
        fresh.desk(watch=lambda *_: verdict(Outcome.FAIL)).deploy("v1")
    assert (set(fresh.units()), fresh.target.live().weights) == (before, {})
    assert fresh.get().json()["error"]["code"] == "NO_COLOR"
    refused = refusal(lambda: fresh.desk().deploy("v1", services=["engine"]))
    assert "the first release needs all services" in refused.what
    assert fresh.desk().deploy("v1").state == "done"
    assert fresh.live() == {"gateway": "blue", "engine": "blue"}


def test_services_move_alone_or_together(fresh: Sparkle) -> None:
    fresh.desk().deploy("v1", hold_s=0)
    gateway = fresh.units()["gateway-blue-1"].identity
    assert fresh.desk().deploy("v2", services=["engine"]).placement == {"engine": "green"}
    assert fresh.live() == colors(fresh.chat()) == {"gateway": "blue", "engine": "green"}
    assert fresh.units()["gateway-blue-1"].identity == gateway
    assert fresh.desk().rollback().placement == {"engine": "blue"}
    assert fresh.live() == colors(fresh.chat()) == {"gateway": "blue", "engine": "blue"}
    fresh.desk().deploy("v2", services=["engine"], hold_s=0)
    assert fresh.desk().deploy("v2").placement == {"gateway": "green"}  # only what does not run it yet
    assert fresh.live() == colors(fresh.chat()) == {"gateway": "green", "engine": "green"}
    assert fresh.desk().deploy("v3", hold_s=0).placement == {"gateway": "blue", "engine": "blue"}
    assert fresh.live() == colors(fresh.chat()) == {"gateway": "blue", "engine": "blue"}
    fresh.converged()


def test_a_stack_that_was_down_comes_back_with_its_live_colors_ports_and_data(fresh: Sparkle) -> None:
    fresh.desk().deploy("v1")
    fresh.desk().deploy("v2", hold_s=0)
    url, live = fresh.url, fresh.live()
    key = f"kept-{time.time_ns()}"
    assert fresh.chat(**{"idempotency-key": key}).json()["replayed"] is False
    began = time.monotonic()
    fresh.target.down()
    assert time.monotonic() - began < 5
    nothing_left(fresh.home.root)
    fresh.target.up()
    assert (fresh.url, fresh.live(), fresh.live_version()) == (url, live, "v2")
    assert fresh.chat(**{"idempotency-key": key}).json()["replayed"] is True
    fresh.converged()


def test_a_live_release_whose_folder_is_gone_is_named_at_the_next_up(fresh: Sparkle, tmp_path: Path) -> None:
    fresh.desk().deploy("v1")
    fresh.target.down()
    away = tmp_path / "away"
    (fresh.home.releases / "v1").chmod(0o755)
    shutil.move(fresh.home.releases / "v1", away)
    refused = refusal(fresh.target.up)
    assert "release v1, which is live as" in refused.what
    shutil.move(away, fresh.home.releases / "v1")
    fresh.target.up()
    fresh.converged()


def test_two_stacks_side_by_side_both_serve_and_do_not_meet(fresh: Sparkle, tmp_path: Path, releases: Path) -> None:
    with sparkle(tmp_path / ("deep" * 20) / ("er" * 30), releases, stack=quick_stack(1)) as other:
        assert len(str(other.home.root)) > 107
        ports = set(fresh.target.provision._ports().values())
        assert not ports & set(other.target.provision._ports().values())
        fresh.desk().deploy("v1")
        other.desk().deploy("v2")
        assert (fresh.get().json()["version"], other.get().json()["version"]) == ("v1", "v2")
    assert fresh.get().json()["version"] == "v1"


def test_a_stack_whose_owner_is_gone_ends_whole(tmp_path: Path, releases: Path) -> None:
    with (
        subprocess.Popen(["sleep", "600"]) as owner,
        sparkle(tmp_path, releases, stack=quick_stack(1), owner=identify(owner.pid)) as stack,
    ):
        stack.desk().deploy("v1")
        owner.kill()
        owner.wait()
        began = time.monotonic()
        nothing_left(stack.home.root)
        assert time.monotonic() - began < 5
        stack.target.supervisor.owner = None
