"""A blue-green switch on Kubernetes, under four populations of clients at half of the path's capacity, by switch kind.

Two stacks, one after the other: with an edge whose own weights are switched, and without one, where the selectors of
the Services are. Clients: a new connection a request, kept connections, HTTP/2 (to the edge), server-sent events.
Propagation: from before the write to the start of the last request that the old color answered. Rivals on the second
stack: a selector patch that drains nobody, and pods that are recreated in place.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from bench._clients import CLIENTS, SSE, Populations, load
from bench._cluster import COLORS, ClusterBench, Kind, throw_away_on_cluster
from bench._result import Result, percentiles_ms, tell

from holdfast.children import poll
from holdfast.infra.program.colored_service import COLOR
from holdfast.infra.stack import Color
from holdfast.load.gates import Generator
from holdfast.measures import SECOND, latencies, succeeded, switches, traffic
from holdfast.run import History, Run, read_history
from holdfast.timeline import now, points

PROMISE = {"switches": 50, "rate": 100.0}
STEPS = (120, 160, 210, 270, 350, 450, 580, 750)
"""Requests a second that are tried for the path's capacity: the last one with which all was well."""
STEP_S = 6.0
STEP_P99_MS = 250.0
IN_FORCE_S = 20.0
LEAD_S = 1.5
CALM_S = {"edge": 0.7, "selector": 2.0}
"""Seconds between a switch that is in force (and whose old color drains) and the next."""
PATCH_S = 3.5
"""Seconds that a plain patch is given to reach its clients."""
LONGEST_S = 1200.0
ALL = "gateway"


@dataclass(frozen=True)
class Options:
    """How much of it. By default what is promised: 50 switches of each kind."""

    kinds: tuple[Kind, ...] = ("edge", "selector")
    switches: int = 50
    patches: int = 8
    restarts: int = 3
    rate: float = 0.0
    keep: Path | None = None

    @property
    def whole(self) -> bool:
        """Whether this run is large enough to speak about the promise."""
        return self.switches >= PROMISE["switches"] and len(self.kinds) == len(CLIENTS) and not self.rate


def main() -> int:
    """Run it; the exit code."""
    options = _options()
    figures: dict[str, Any] = {"size": "whole" if options.whole else f"short: {options.switches} switches"}
    rivals: dict[str, Any] = {}
    short: list[str] = []
    for kind in options.kinds:
        with throw_away_on_cluster(kind) as bench:
            figures["plugin"] = bench.plugin
            figures[kind] = _measure(bench, options)
            if kind == "selector":
                rivals = _rivals(bench, options, figures[kind]["rate_wanted"])
        short += [f"{kind}: {reason}" for reason in shortfalls(figures[kind], options)]
    figures |= {"h2_behind_a_selector": "absent: the gateway itself speaks HTTP/1.1"}
    return Result("cluster_switch", figures, rivals, short).finish()


# -- pure: what the recorded requests say ------------------------------------------------------------------------------


def figures_of(history: History, clients: Populations) -> dict[str, Any]:
    """Our figures of one kind. `p50_ms`, `p99_ms`, `max_ms`: propagation, of all clients and of each population.

    The resolution is the distance of two requests of the population. `write_ms`: how long the write itself took.
    """
    requests, wrong = history.requests, history.reconciliation
    found = switches(history)
    generator = Generator().judge(history)
    took = latencies([r for stream in clients if stream != SSE for r in traffic(history, stream)])
    results = [point.data for point in points(history.events, "load.result")]
    writes = [point.data["returned"] - point.data["written"] for point in points(history.events, "switch")]
    return {
        "switches": len(found),
        "unseen": sum(1 for each in found if each.propagation_ms is None),
        "seconds": round(max((each["seconds"] for each in results), default=0.0), 1),
        "requests": len(requests),
        "rate": round(sum(each["rate"] for each in results), 1),
        "failed": sum(1 for r in requests if not succeeded(r)),
        "effects_complete": wrong.complete,
        "effects": sum(1 for r in requests if r.offered.effect and succeeded(r)),
        "lost": len(wrong.lost),
        "duplicated": len(wrong.duplicated),
        "unexplained": len(wrong.unexplained),
        **propagation(history, None),
        "by_clients": {stream: _of_population(history, stream) for stream in clients},
        "write_ms": percentiles_ms(writes),
        "latency": {k: round(v, 2) for k, v in msgspec.to_builtins(took).items()} if took else None,
        "generator": {"outcome": generator.outcome.value, "because": generator.because},
    }


def propagation(history: History, stream: str | None) -> dict[str, float]:
    """p50, p99 and max over the switches."""
    seen = [each.propagation_ms for each in switches(history, stream)]
    return percentiles_ms([round(each * 1e6) for each in seen if each is not None])


def _of_population(history: History, stream: str) -> dict[str, Any]:
    requests = traffic(history, stream)
    failed = sum(1 for r in requests if not succeeded(r))
    return {"requests": len(requests), "failed": failed, **propagation(history, stream)}


def stayed(history: History, stream: str) -> float | None:
    """Of a population's requests in the last second before each switch but the first: how many the old color got.

    That is the share of clients which a switch did not reach, however long one waits.
    """
    moves = [(point.data["written"], point.data["from"][ALL]) for point in points(history.events, "switch")]
    requests = [(r.offered.sent, r.settled.color) for r in traffic(history, stream) if r.settled and r.settled.color]
    windows = [(written, left) for (written, _), (_, left) in zip(moves[1:], moves, strict=False)]
    seen = [
        color == left for written, left in windows for sent, color in requests if written - SECOND <= sent < written
    ]
    return round(sum(seen) / len(seen), 3) if seen else None


def restarts_of(history: History) -> dict[str, Any]:
    """What failed of the same traffic, restart by restart; `restart_s` is until the new pods were ready."""
    windows = [(point.data["begun"], point.data["ended"]) for point in points(history.events, "restart")]
    bad = [r.offered.intended for r in history.requests if not succeeded(r)]
    failed = [sum(begun <= at < ended for at in bad) for begun, ended in windows]
    return {
        "restarts": len(windows),
        "requests": len(history.requests),
        "failed": len(bad),
        "failed_by_restart": failed,
        "restart_s": [round((ended - begun) / SECOND - LEAD_S, 1) for begun, ended in windows],
        "lost": len(history.reconciliation.lost),
        "duplicated": len(history.reconciliation.duplicated),
    }


def shortfalls(figures: dict[str, Any], options: Options) -> list[str]:
    """What does not hold of the promise; a short run is held to its own size."""
    half = figures["capacity"] / 2
    held = [
        (figures["failed"] == 0, f"{figures['failed']} requests failed"),
        (figures["effects_complete"], "the effects could not be read"),
        (figures["effects"] > 0, "no request had to leave an effect"),
        (figures["lost"] == 0, f"{figures['lost']} requests were lost"),
        (figures["duplicated"] == 0, f"{figures['duplicated']} requests had more than one effect"),
        (figures["unexplained"] == 0, f"{figures['unexplained']} effects are not explained"),
        (figures["switches"] >= options.switches, f"{figures['switches']} of {options.switches} switches were made"),
        (figures["unseen"] == 0, f"{figures['unseen']} switches had no traffic around them"),
        (figures["rate"] >= PROMISE["rate"] * 0.99, f"{figures['rate']} requests/s were offered"),
        (figures["rate"] >= half * 0.98, f"{figures['rate']} requests/s are less than half of {figures['capacity']}"),
        (figures["generator"]["outcome"] == "pass", f"the generator was unwell: {figures['generator']['because']}"),
    ]
    return [reason for kept, reason in held if not kept]


def well(history: History, clients: Populations) -> str:
    """Why a step of the calibration was too much; empty when all was well."""
    took = latencies([r for stream in clients if stream != SSE for r in traffic(history, stream)])
    failed = sum(1 for r in history.requests if not succeeded(r))
    generator = Generator().judge(history)
    if failed:
        return f"{failed} requests failed"
    if took is None or took.p99_ms > STEP_P99_MS:
        return f"p99 {took.p99_ms if took else 0:.0f} ms"
    return "" if generator.outcome.value == "pass" else generator.because


# -- the acts ----------------------------------------------------------------------------------------------------------


def _measure(bench: ClusterBench, options: Options) -> dict[str, Any]:
    """Calibrate, then all switches under half of that."""
    clients = CLIENTS[bench.kind]
    capacity = _capacity(bench, clients) if not options.rate else 2 * options.rate
    rate = max(PROMISE["rate"], capacity / 2)
    tell(f"{bench.kind}: {options.switches} switches at {rate:g} requests/s")
    run = bench.run(f"bench cluster_switch {bench.kind}")
    with load(bench.target.edge_url(), run, clients, rate, LONGEST_S):
        time.sleep(LEAD_S)
        for number in range(options.switches):
            _switch(bench, run)
            if number % 10 == 9:
                tell(f"{bench.kind}: {number + 1} switches")
        time.sleep(LEAD_S)
    bench.record_effects(run)
    run.close()
    _keep(options, run)
    return {
        "capacity": capacity,
        "calibrated": not options.rate,
        "rate_wanted": rate,
        **figures_of(read_history(run.path), clients),
    }


def _capacity(bench: ClusterBench, clients: Populations) -> float:
    """The last step that went well; 0 when not even the first did."""
    held = 0.0
    for rate in STEPS:
        run = bench.run("bench cluster_switch: calibration")
        with load(bench.target.edge_url(), run, clients, rate, STEP_S) as loads:
            for one in loads:
                one.wait(STEP_S + one.plan.drain + 5)
        run.close()
        trouble = well(read_history(run.path), clients)
        tell(f"{bench.kind}: {rate} requests/s: {trouble or 'well'}")
        if trouble:
            break
        held = float(rate)
    return held


def _switch(bench: ClusterBench, run: Run) -> None:
    """One switch as a release makes it: the write, until it is in force; behind selectors the old color then drains.

    It drains until it is switched to again: a kept connection that is used seldom moves late.
    """
    target = bench.target
    table = target.live()
    old: Color = "blue" if table.live(target.stack.edge.service) == "blue" else "green"
    new: Color = "green" if old == "blue" else "blue"
    if bench.kind == "selector":
        target.undrain(bench.placed(new))
    moved = table.moved(bench.placed(new), table.token + 1)
    written = target.route(moved)
    _point(run, written, bench.placed(old), bench.placed(new))
    bench.wait_in_force(moved, IN_FORCE_S)
    if bench.kind == "selector":
        target.drain(bench.placed(old))
    time.sleep(CALM_S[bench.kind])


def _point(run: Run, written: int, old: dict[str, Color], new: dict[str, Color]) -> None:
    colors = {"from": old, "to": new}
    run.timeline.point("switch", op="bench", written=written, returned=now(), **colors)


# -- the rivals --------------------------------------------------------------------------------------------------------


def _rivals(bench: ClusterBench, options: Options, rate: float) -> dict[str, Any]:
    """On the stack without an edge; no color drains any more. Restarts at 100 requests/s, which is kinder to them."""
    clients = CLIENTS[bench.kind]
    for color in COLORS:
        bench.target.undrain(bench.placed(color))
    return {
        "selector_patch": _patches(bench, options, clients, rate),
        "naive_restart": _restarts(bench, options, clients, PROMISE["rate"]),
    }


def _patches(bench: ClusterBench, options: Options, clients: Populations, rate: float) -> dict[str, Any]:
    """Only the selector of the gateway's Service is patched; nobody is told."""
    if not options.patches:
        return {"absent": "--patches 0"}
    api = bench.target.api
    run = bench.run("bench cluster_switch: selector patch")
    with load(bench.target.edge_url(), run, clients, rate, LONGEST_S):
        time.sleep(LEAD_S)
        for _ in range(options.patches):
            old: Color = "blue" if api.get("Service", ALL)["spec"]["selector"][COLOR] == "blue" else "green"
            new: Color = "green" if old == "blue" else "blue"
            written = now()
            api.patch("Service", ALL, {"spec": {"selector": {COLOR: new}}})
            _point(run, written, {ALL: old}, {ALL: new})
            time.sleep(PATCH_S)
    history = _judged(bench, run, options)
    found = figures_of(history, clients)
    wanted = ("switches", "requests", "failed", "lost", "duplicated")
    stays = {stream: stayed(history, stream) for stream in clients}
    by_clients = {stream: found["by_clients"][stream] for stream in clients}
    return {**{key: found[key] for key in wanted}, "stayed_on_the_old_color": stays, "by_clients": by_clients}


def _restarts(bench: ClusterBench, options: Options, clients: Populations, rate: float) -> dict[str, Any]:
    """The live gateway's pods are ended and made again with a changed template, as strategy Recreate does it."""
    if not options.restarts:
        return {"absent": "--restarts 0"}
    api = bench.target.api
    color = str(api.get("Service", ALL)["spec"]["selector"][COLOR])
    run, name = bench.run("bench cluster_switch: naive restart"), f"{ALL}-{color}"
    with load(bench.target.edge_url(), run, clients, rate, LONGEST_S):
        time.sleep(LEAD_S)
        for number in range(options.restarts):
            begun = now()
            template = {"metadata": {"annotations": {"holdfast-bench/restart": str(number)}}}
            strategy = {"type": "Recreate", "rollingUpdate": None}
            api.patch("Deployment", name, {"spec": {"strategy": strategy, "template": template}})
            _wait_rolled_out(bench, name)
            time.sleep(LEAD_S)
            run.timeline.point("restart", begun=begun, ended=now())
    history = _judged(bench, run, options)
    return restarts_of(history)


def _wait_rolled_out(bench: ClusterBench, name: str) -> None:
    """Wait until the Deployment's controller has seen the change, and all its pods are new and ready."""
    for _ in poll(time.monotonic() + 120, every=0.2):
        found = bench.target.api.get("Deployment", name)
        status, wanted = found.get("status", {}), found["spec"]["replicas"]
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        if seen and status.get("updatedReplicas") == status.get("readyReplicas") == wanted == status.get("replicas"):
            return
    tell(f"{name} was not rolled out within 120 s")


def _judged(bench: ClusterBench, run: Run, options: Options) -> History:
    bench.record_effects(run)
    run.close()
    _keep(options, run)
    return read_history(run.path)


# -- options and evidence ----------------------------------------------------------------------------------------------


def _keep(options: Options, run: Run) -> None:
    """The runs lie in the throw-away home; `--keep` copies them out."""
    if options.keep is not None:
        shutil.copytree(run.path, options.keep / run.path.name)
        tell(f"kept {options.keep / run.path.name}")


def _options() -> Options:
    defaults = Options()
    parser = argparse.ArgumentParser(prog="scripts/bench cluster_switch", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kind", choices=defaults.kinds, help="of switch, default: each")
    parser.add_argument("--switches", type=int, default=defaults.switches, help="of each kind, default: %(default)s")
    parser.add_argument("--patches", type=int, default=defaults.patches, help="of the rival, default: %(default)s")
    parser.add_argument("--restarts", type=int, default=defaults.restarts, help="of the rival, default: %(default)s")
    parser.add_argument("--rate", type=float, default=0.0, help="requests/s instead of half the calibrated capacity")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy the runs there, with all requests")
    given = parser.parse_args()
    if given.switches < 2:
        parser.error("at least 2 switches")
    kinds = (given.kind,) if given.kind else defaults.kinds
    return Options(kinds, given.switches, given.patches, given.restarts, given.rate, given.keep)


if __name__ == "__main__":
    sys.exit(main())
