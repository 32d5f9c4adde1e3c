"""A selector that moves from 101 pods to 101 others: more endpoints than one EndpointSlice holds, so several writes.

Under load on new and on kept connections nothing fails, and nobody but the two colors answers. The figures are printed.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.echo import PORT, echo, load_echo, tell_all
from support.kubernetes import service, until

from holdfast.infra.targets.cluster.api import Api, Object
from holdfast.load.arrivals import Constant
from holdfast.load.plan import LoadPlan
from holdfast.load.process import LoadProcess
from holdfast.load.profile import Connections, HttpRoute, Profile
from holdfast.measures import MILLISECOND, nearest_rank, succeeded, switches, traffic
from holdfast.run import History, Run, open_run, read_history
from holdfast.timeline import now, points

EACH = 101
SWAPS = 6
RATE = 100
"""Requests a second of each population."""
READY_S = 400.0
SETTLE_S = 4.0
"""After a write: two syncs of kube-proxy, which are a second apart, and as much again."""
DRAIN_S = 1.5
PROPAGATION_S = 3.0
COLORS = ("blue", "green")
STREAMS = {"new": 1.0, "kept": 0.0}
"""The share of requests on a connection of their own, for each population."""


def test_a_selector_moves_between_more_endpoints_than_a_slice_holds_and_nothing_fails(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pods, ready = start_pods(api)
    run = open_run(tmp_path, command="swap of 101 + 101")
    try:
        swap_under_load(api, run, pods)
    finally:
        run.close()
    history = read_history(run.path)
    figures = figures_of(history) | {"pods": 2 * EACH, "pods_ready_s": ready, "slices": len(slices(api))}
    with capsys.disabled():
        print("\n" + json.dumps(figures))
    assert figures["slices"] > 1
    assert figures["failed"] == figures["by_neither"] == 0
    assert figures["requests"] > 0.95 * RATE * len(STREAMS) * SWAPS * (SETTLE_S + DRAIN_S)
    assert figures["new"]["seen"] == figures["kept"]["seen"] == SWAPS
    assert figures["new"]["max_ms"] < PROPAGATION_S * 1000
    assert figures["left_after_drain"] == 0


def start_pods(api: Api) -> tuple[dict[str, list[str]], float]:
    """Both colors behind one Service that leads to blue: the pods' addresses, and how long it took (s).

    Pods have no probe, so that they cost little; each is asked by its address instead.
    """
    image, begin = load_echo(), time.monotonic()
    for color in COLORS:
        api.create(echo(image, color, EACH))
    api.create(service("echo", {"app": "echo", "color": "blue"}, PORT))
    until(lambda: sum(ready(api, color) for color in COLORS) == 2 * EACH, "all pods are ready", READY_S)
    took = round(time.monotonic() - begin, 1)
    pods = {color: [one["status"]["podIP"] for one in api.list("Pod", {"color": color})] for color in COLORS}
    for color, addresses in pods.items():
        assert {text.split()[0] for text in tell_all("GET", addresses, "/")} == {color}
    until(lambda: sum(len(one["endpoints"] or []) for one in slices(api)) == EACH, "the Service has them", 30)
    return pods, took


def ready(api: Api, color: str) -> int:
    return int(api.get("Deployment", color).get("status", {}).get("readyReplicas", 0))


def slices(api: Api) -> list[Object]:
    return api.list("EndpointSlice", {"kubernetes.io/service-name": "echo"})


def swap_under_load(api: Api, run: Run, pods: dict[str, list[str]]) -> None:
    """Both populations, and SWAPS swaps; after each the old color asks its clients to come back elsewhere."""
    address = api.get("Service", "echo")["spec"]["clusterIP"]
    loads = [LoadProcess.start(plan(run, name, fresh, f"http://{address}:{PORT}")) for name, fresh in STREAMS.items()]
    try:
        time.sleep(1.5)
        for number in range(SWAPS):
            old, new = COLORS[number % 2], COLORS[1 - number % 2]
            swap(api, run, old, new, number)
            time.sleep(SETTLE_S)
            tell_all("POST", pods[old], "/drain")
            time.sleep(DRAIN_S)
            run.timeline.point("drained", old=old)
            time.sleep(0.5)
            tell_all("DELETE", pods[old], "/drain")
    finally:
        for load in loads:
            load.stop()


def plan(run: Run, stream: str, fresh: float, url: str) -> LoadPlan:
    profile = Profile(
        name=stream,
        arrivals=Constant(rate=RATE),
        duration="300s",
        connections=Connections(max=256, fresh=fresh),
        mix={"whoami": HttpRoute(path="/")},
    )
    return LoadPlan(stream=stream, url=url, profile=profile, run_dir=str(run.path), run_id=run.id, seed=run.info.seed)


def swap(api: Api, run: Run, old: str, new: str, number: int) -> None:
    """One guarded write."""
    found = api.get("Service", "echo")
    written = now()
    api.patch("Service", "echo", {"spec": {"selector": {"color": new}}}, of=found["metadata"]["resourceVersion"])
    sides = {"from": {"gateway": old}, "to": {"gateway": new}}
    run.timeline.point("switch", written=written, returned=now(), token=number, **sides)


# -- pure: what the recorded requests say ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drained:
    """From `at` on the old color should have answered nobody, until its end at `until`."""

    old: str
    at: int
    until: int


def figures_of(history: History) -> dict[str, Any]:
    """Times in ms from before the write to the start of the last request that the old color answered."""
    requests = history.requests
    answered = [r for r in requests if succeeded(r)]
    asked = [p.data["returned"] - p.data["written"] for p in points(history.events, "switch")]
    return {
        "swaps": len(asked),
        "requests": len(requests),
        "failed": len(requests) - len(answered),
        "by_neither": sum(1 for r in answered if r.settled is None or r.settled.color not in COLORS),
        "patch_ms": round(nearest_rank(asked, 0.5) / MILLISECOND, 1),
        **{stream: propagation(history, stream) for stream in STREAMS},
        "left_after_drain": sum(left(history, one) for one in drains(history)),
    }


def propagation(history: History, stream: str) -> dict[str, float]:
    """p50, p99 and max over the swaps, of one population."""
    seen = [one.propagation_ms for one in switches(history, stream) if one.propagation_ms is not None]
    ranks = {name: nearest_rank([round(one * 1000) for one in seen], share) for name, share in RANKS.items()}
    counted = {"requests": len(traffic(history, stream)), "seen": len(seen)}
    return {**counted, **{name: round(value / 1000, 1) for name, value in ranks.items()}}


RANKS = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}


def drains(history: History) -> list[Drained]:
    """After each drain, until the next switch or the end."""
    ends = [point.data["written"] for point in points(history.events, "switch")][1:]
    last = max((r.settled.at for r in history.requests if r.settled), default=0)
    return [
        Drained(point.data["old"], point.at, end)
        for point, end in zip(points(history.events, "drained"), [*ends, last], strict=True)
    ]


def left(history: History, drained: Drained) -> int:
    """Requests that the old color still answered after it was drained."""
    return sum(
        1
        for r in history.requests
        if r.settled
        and r.settled.color == drained.old
        and drained.at <= r.offered.sent
        and r.settled.at < drained.until
    )
