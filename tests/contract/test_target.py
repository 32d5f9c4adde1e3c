"""What every target promises: start, wait_ready, addresses, live, route, stop, each repeatable, and its capabilities.

The tests are one story, in order: each begins where the one before it ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from holdfast.children import poll
from holdfast.errors import Refused
from holdfast.infra.release import Release, read_release
from holdfast.infra.target import CanDrain, CanHold, CanKill, Placement, RouteTable, Target

BLUE: Placement = {"gateway": "blue", "engine": "blue"}
GREEN: Placement = {"gateway": "green", "engine": "green"}
SIZES = {"gateway": 2, "engine": 2}

pytestmark = pytest.mark.slow


def until(true: Callable[[], Any], what: str, seconds: float = 15.0) -> None:
    for _ in poll(time.monotonic() + seconds, every=0.05):
        if true():
            return
    raise AssertionError(f"not within {seconds:g} s: {what}")


def release(place: Any, version: str) -> Release:
    return read_release(version, place.releases)


def started(place: Any, version: str, placement: Placement) -> None:
    place.target.start(release(place, version), placement, SIZES)
    place.target.wait_ready(placement)


def route(place: Any, table: RouteTable) -> int:
    written: int = place.target.route(table)
    until(lambda: place.target.in_force(table), "every edge has taken the table")
    return written


def who(place: Any, **headers: str) -> httpx.Response:
    return httpx.get(f"{place.target.edge_url()}/v1/whoami", headers=headers, timeout=5)


def test_an_empty_target_has_no_route_and_answers_so(place: Any) -> None:
    target: Target = place.target
    assert target.live().weights == {}
    assert target.addresses(BLUE) == []
    assert not target.running(BLUE)
    assert target.release_in("gateway", "blue") is None
    assert who(place).status_code == 503
    assert target.edge_color() == ""


def test_a_started_color_is_ready_at_its_own_addresses_and_gets_no_traffic_by_it(place: Any) -> None:
    target: Target = place.target
    place.next_token()
    started(place, "v1", BLUE)
    addresses = target.addresses(BLUE)
    assert sorted(a.service for a in addresses) == ["engine", "engine", "gateway", "gateway"]
    assert len({a.instance for a in addresses}) == len({(a.host, a.port) for a in addresses}) == 4
    assert all(httpx.get(f"{a.probe}/readyz").status_code == 200 for a in addresses)
    assert target.running(BLUE)
    assert not target.running(GREEN)
    assert (target.size_of("gateway", "blue"), target.size_of("engine", "blue")) == (2, 2)
    found = target.release_in("gateway", "blue")
    assert found is not None
    assert found.digest == release(place, "v1").digest
    assert who(place).status_code == 503


def test_starting_again_changes_nothing(place: Any) -> None:
    before = place.target.addresses(BLUE)
    started(place, "v1", BLUE)
    assert place.target.addresses(BLUE) == before


def test_a_route_is_in_force_after_one_write(place: Any) -> None:
    table = place.target.live().moved(BLUE, place.next_token())
    before = time.monotonic_ns()
    written = route(place, table)
    assert before <= written <= time.monotonic_ns()
    assert place.target.live() == table
    until(lambda: place.target.edge_color() == "blue", "the edge answers from blue")
    assert who(place).json()["color"] == "blue"


def test_the_preview_leads_to_the_idle_color_alone(place: Any) -> None:
    token = place.next_token()
    started(place, "v2", GREEN)
    route(place, place.target.live().previewing(GREEN, token))
    assert (who(place).json()["version"], who(place, **{"x-holdfast-preview": "idle"}).json()["version"]) == (
        "v1",
        "v2",
    )


def test_all_services_move_by_one_write_and_the_preview_ends_with_it(place: Any) -> None:
    route(place, place.target.live().moved(GREEN, place.next_token()))
    answer = httpx.post(f"{place.target.edge_url()}/v1/chat", json={"message": "hello"}, timeout=10)
    assert {one["color"] for one in answer.json()["served_by"].values()} == {"green"}
    assert who(place).json()["color"] == "green"
    assert who(place, **{"x-holdfast-preview": "idle"}).status_code == 503


def test_weights_split_the_traffic(place: Any) -> None:
    table = place.target.live()
    split = RouteTable(
        weights={"gateway": {"blue": 50, "green": 50}, "engine": {"green": 100}},
        token=place.next_token(),
        serial=table.serial + 1,
    )
    route(place, split)
    seen = [who(place).json()["color"] for _ in range(60)]
    assert set(seen) == {"blue", "green"}
    route(place, split.moved(GREEN, place.next_token()))


def test_an_older_token_changes_nothing(place: Any) -> None:
    before = place.target.live()
    stale = place.token - 1
    with pytest.raises(Refused, match="overtaken"):
        place.target.route(before.moved(BLUE, stale))
    place.target.fence(stale)
    with pytest.raises(Refused, match="overtaken"):
        place.target.stop(BLUE)
    with pytest.raises(Refused, match="overtaken"):
        place.target.start(release(place, "v3"), GREEN, SIZES)
    place.target.fence(place.token)
    assert place.target.live() == before
    assert place.target.running(BLUE)
    assert place.target.release_in("gateway", "green").version == "v2"


def test_a_live_color_is_not_stopped(place: Any) -> None:
    with pytest.raises(Refused, match="is live and is not stopped"):
        place.target.stop(GREEN)
    assert place.target.running(GREEN)


def test_draining_instances_still_answer_and_can_take_traffic_again(place: Any) -> None:
    target: Any = place.target
    if not isinstance(place.target, CanDrain):
        pytest.skip("this target cannot drain")
    target.drain(BLUE)
    probes = [a.probe for a in target.addresses(BLUE)]
    until(lambda: all(httpx.get(f"{p}/readyz").status_code == 503 for p in probes), "they say that they are not ready")
    assert target.in_flight(BLUE) == 0
    target.undrain(BLUE)
    until(lambda: all(httpx.get(f"{p}/readyz").status_code == 200 for p in probes), "they are ready again")


def test_a_held_color_ends_by_itself_and_not_when_it_is_kept(place: Any) -> None:
    target: Any = place.target
    if not isinstance(place.target, CanHold):
        pytest.skip("this target cannot hold")
    at = time.time() + 60
    target.hold(BLUE, at)
    assert target.held_until(BLUE) == at
    target.hold(BLUE, None)
    assert target.held_until(BLUE) is None
    target.hold(BLUE, time.time() + 0.5)
    until(lambda: not target.running(BLUE), "the color has ended by itself", place.end_s)
    assert target.running(GREEN)
    assert who(place).json()["color"] == "green"
    started(place, "v1", BLUE)


def test_a_killed_instance_is_started_again(place: Any) -> None:
    target: Any = place.target
    if not isinstance(place.target, CanKill):
        pytest.skip("this target cannot kill")
    killed = target.addresses(BLUE)[0]
    target.kill(killed.instance)

    def ready(probe: str) -> bool:
        try:
            return httpx.get(f"{probe}/readyz", timeout=1).status_code == 200
        except httpx.TransportError:
            return False

    until(lambda: not ready(killed.probe), "it is gone", 5)
    until(lambda: (after := target.successor(killed)) and ready(after.probe), "who came in its place is ready", 60)
    target.wait_ready(BLUE)
    assert len(target.addresses(BLUE)) == SIZES["gateway"] + SIZES["engine"]


def test_a_stopped_color_is_gone_and_stopping_again_changes_nothing(place: Any) -> None:
    target: Target = place.target
    place.next_token()
    addresses = target.addresses(BLUE)
    for _ in range(2):
        target.stop(BLUE)
        assert not target.running(BLUE)
    for address in addresses:
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{address.probe}/healthz", timeout=2)
    assert who(place).json()["color"] == "green"


def test_without_a_route_the_edge_answers_that_nothing_was_executed(place: Any) -> None:
    route(place, place.target.live().without(["gateway", "engine"], place.next_token()))
    answer = who(place)
    assert (answer.status_code, answer.headers["x-request-executed"]) == (503, "no")
    place.target.stop(GREEN)
    assert not place.target.running(GREEN)
