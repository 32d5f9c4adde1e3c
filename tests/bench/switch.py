"""How a blue-green switch feels: 1,000 switches back and forth under load, beside naive stop-then-start restarts.

Two stacks of their own, in turns, at the same rate: on the first the traffic of all services moves between two colors
by one write of the route table; on the second both instances of the live gateway are stopped and started again.
Propagation: from the write of the route to the start of the last request that the old color answered.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from bench._result import Result, percentiles_ms, tell
from bench._stack import Bench, cpu_us_per, throw_away

from holdfast.infra.stack import Color
from holdfast.load.gates import Generator
from holdfast.load.plan import LoadPlan
from holdfast.load.process import LoadProcess
from holdfast.load.profile import load_profile
from holdfast.measures import latencies, succeeded, switches
from holdfast.run import History, Run, read_history
from holdfast.timeline import points

PROFILE = "switch"
BLOCKS = 4
LEAD_S = 1.0
"""Seconds of load before the first and after the last switch of a block: a switch needs traffic on both sides."""
CALM_S = 1.5
"""Seconds between two restarts of the rival, after its instances are ready again."""
LONGEST_RIVAL_S = 300.0
PROMISE = {"switches": 1000, "requests": 200_000, "seconds": 600.0, "p99_ms": 20.0}
KAMAL_PROXY = "not measured: the Go module proxy does not serve its module"


@dataclass(frozen=True)
class Options:
    """How much of it. By default what is promised: 1,000 switches in at most 10 minutes, 200,000 requests or more."""

    switches: int = 1000
    seconds: float = 580.0
    restarts: int = 20
    keep: Path | None = None

    @property
    def whole(self) -> bool:
        """Whether this run is large enough to speak about the promise."""
        return self.switches >= PROMISE["switches"]


def main() -> int:
    """Run it; the exit code."""
    options = _options()
    with ExitStack() as stacks:
        tell("starting the stack with two colors, and the rival's")
        ours = stacks.enter_context(throw_away(("blue", "green")))
        naive = stacks.enter_context(throw_away(("blue",)))
        our_run, naive_run = ours.run("bench switch"), naive.run("bench switch: naive restart")
        cpu: dict[str, float] = {}
        for block in range(1, BLOCKS + 1):
            _switch_block(ours, our_run, block, options, cpu)
            _restart_block(naive, naive_run, block, _share(options.restarts, block))
        ours.record_effects(our_run)
        naive.record_effects(naive_run)
        tell("judging")
        figures = figures_of(read_history(our_run.path), options, cpu)
        rival = rival_of(read_history(naive_run.path)) if options.restarts else {"absent": "--restarts 0"}
        short = shortfalls(figures, options)
        for bench, run in ((ours, our_run), (naive, naive_run)):
            run.close()
            _keep(options, bench, run)
    rivals = {"naive_restart": rival, "kamal_proxy": {"absent": KAMAL_PROXY}}
    return Result("switch", figures, rivals, short).finish()


# -- pure: what the recorded requests say ------------------------------------------------------------------------------


def figures_of(history: History, options: Options, cpu_s: dict[str, float]) -> dict[str, Any]:
    """Our figures. `p50_ms`, `p99_ms`, `max_ms`: propagation of a switch. `cpu_us`: CPU time a request.

    The resolution of a propagation is the distance of two requests, 2.9 ms at 350 a second. `seconds`: how long
    requests were offered, over all blocks.
    """
    requests = history.requests
    found = switches(history)
    seen = [round(each.propagation_ms * 1e6) for each in found if each.propagation_ms is not None]
    took = latencies(requests)
    generator = Generator().judge(history)
    wrong = history.reconciliation
    seconds = sum(point.data["seconds"] for point in points(history.events, "load.result"))
    return {
        "size": "whole" if options.whole else f"short: {options.switches} of {PROMISE['switches']:.0f} switches",
        "switches": len(found),
        "unseen": len(found) - len(seen),
        "seconds": round(seconds, 1),
        "requests": len(requests),
        "rate": round(len(requests) / seconds, 1) if seconds else None,
        "failed": sum(1 for r in requests if not succeeded(r)),
        "effects_complete": wrong.complete,
        "effects": sum(1 for r in requests if r.offered.effect and succeeded(r)),
        "lost": len(wrong.lost),
        "duplicated": len(wrong.duplicated),
        "unexplained": len(wrong.unexplained),
        **percentiles_ms(seen),
        "latency": {k: round(v, 2) for k, v in msgspec.to_builtins(took).items()} if took else None,
        "generator": {"outcome": generator.outcome.value, "because": generator.because},
        "generator_lag_p99_ms": round(max(_lags(generator.evidence), default=0.0), 2),
        "cpu_us": cpu_us_per({}, cpu_s, len(requests)),
    }


def rival_of(history: History) -> dict[str, Any]:
    """The naive restarts: what failed of the same traffic."""
    requests = history.requests
    restarts = [event for event in history.events if event.name == "restart"]
    failed = sum(1 for r in requests if not succeeded(r))
    took = latencies(requests)
    return {
        "restarts": len(restarts),
        "requests": len(requests),
        "failed": failed,
        "failed_per_restart": round(failed / len(restarts), 1) if restarts else None,
        "restart_s": round(sum(event.data["seconds"] for event in restarts) / max(len(restarts), 1), 2),
        "lost": len(history.reconciliation.lost),
        "duplicated": len(history.reconciliation.duplicated),
        "latency_p99_ms": round(took.p99_ms, 1) if took else None,
        "generator": Generator().judge(history).outcome.value,
    }


def shortfalls(figures: dict[str, Any], options: Options) -> list[str]:
    """What does not hold of the promise; a short run is held to its own size."""
    wanted = options.seconds * load_profile(PROFILE).arrivals.rate * 0.99
    requests = PROMISE["requests"] if options.whole else wanted
    held = [
        (figures["failed"] == 0, f"{figures['failed']} requests failed"),
        (figures["effects_complete"], "the effects could not be read"),
        (figures["effects"] > 0, "no request had to leave an effect"),
        (figures["lost"] == 0, f"{figures['lost']} requests were lost"),
        (figures["duplicated"] == 0, f"{figures['duplicated']} requests had more than one effect"),
        (figures["unexplained"] == 0, f"{figures['unexplained']} effects are not explained"),
        (figures["switches"] >= options.switches, f"{figures['switches']} of {options.switches} switches were made"),
        (figures["unseen"] == 0, f"{figures['unseen']} switches had no traffic around them"),
        (figures["requests"] >= requests, f"{figures['requests']} of {requests:.0f} requests were offered"),
        (figures["seconds"] <= PROMISE["seconds"], f"it took {figures['seconds']:.0f} s"),
        (figures["p99_ms"] <= PROMISE["p99_ms"], f"propagation p99 is {figures['p99_ms']} ms"),
        (figures["generator"]["outcome"] == "pass", f"the generator was unwell: {figures['generator']['because']}"),
    ]
    return [reason for kept, reason in held if not kept]


def _lags(evidence: dict[str, Any]) -> list[float]:
    return [each["lag_p99_ms"] for each in evidence["streams"].values() if "lag_p99_ms" in each]


# -- the acts ----------------------------------------------------------------------------------------------------------


def _switch_block(bench: Bench, run: Run, block: int, options: Options, cpu: dict[str, float]) -> None:
    """Load, and switches evenly spread over it."""
    count, seconds = _share(options.switches, block), options.seconds / BLOCKS
    before = bench.cpu_seconds()
    with _load(bench, run, f"switch{block}", seconds) as load:
        begun = time.monotonic()
        for k in range(count):
            time.sleep(max(begun + LEAD_S + k * (seconds - 2 * LEAD_S) / count - time.monotonic(), 0))
            _switch(bench, run)
        load.wait(seconds + load.plan.drain + 5)
    for name, spent in bench.cpu_seconds().items():
        cpu[name] = cpu.get(name, 0.0) + spent - before.get(name, 0.0)
    tell(f"block {block} of {BLOCKS}: {count} switches in {seconds:.0f} s")


def _switch(bench: Bench, run: Run) -> None:
    """One write moves all services to the other color."""
    table = bench.target.live()
    old: Color = "blue" if table.live(bench.target.stack.edge.service) == "blue" else "green"
    new: Color = "green" if old == "blue" else "blue"
    token = table.token + 1
    written = bench.target.route(table.moved(bench.placed(new), token))
    colors = {"from": bench.placed(old), "to": bench.placed(new)}
    run.timeline.point("switch", op="bench", written=written, token=token, **colors)


def _restart_block(bench: Bench, run: Run, block: int, count: int) -> None:
    """The rival, under the same load: stop the live gateway, start it, wait until it is ready."""
    if not count:
        return
    service = bench.target.stack.edge.service
    with _load(bench, run, f"naive{block}", LONGEST_RIVAL_S) as load:
        for _ in range(count):
            time.sleep(CALM_S)
            _restart(bench, run, service)
        time.sleep(CALM_S)
        load.stop()
    tell(f"block {block} of {BLOCKS}: {count} naive restarts")


def _restart(bench: Bench, run: Run, service: str) -> None:
    supervisor = bench.target.supervisor
    kept = [one for name, one in supervisor.units().items() if name.startswith(f"{service}-blue-")]
    begun = time.monotonic()
    supervisor.stop([one.unit.name for one in kept])
    for one in kept:
        supervisor.start(one.unit)
    bench.target.wait_ready({service: "blue"})
    run.timeline.point("restart", seconds=time.monotonic() - begun)


@contextmanager
def _load(bench: Bench, run: Run, stream: str, seconds: float) -> Iterator[LoadProcess]:
    profile = msgspec.structs.replace(load_profile(PROFILE), duration=f"{round(seconds * 1000)}ms")
    plan = LoadPlan(
        stream=stream,
        url=bench.target.edge_url(),
        profile=profile,
        run_dir=str(run.path),
        run_id=run.id,
        seed=run.info.seed,
    )
    with LoadProcess.start(plan) as load:
        yield load


# -- options and evidence ----------------------------------------------------------------------------------------------


def _share(count: int, block: int) -> int:
    """How much of `count` belongs to a block (1 to BLOCKS): the same for all, and one more for the first."""
    each, more = divmod(count, BLOCKS)
    return each + (block <= more)


def _keep(options: Options, bench: Bench, run: Run) -> None:
    """The runs lie in the throw-away stack; `--keep` copies them out, logs beside them."""
    if options.keep is not None:
        shutil.copytree(run.path, options.keep / run.path.name)
        shutil.copytree(bench.target.home.logs, options.keep / run.path.name / "logs")
        tell(f"kept {options.keep / run.path.name}")


def _options() -> Options:
    defaults = Options()
    parser = argparse.ArgumentParser(prog="scripts/bench switch", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--switches", type=int, default=defaults.switches, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=defaults.seconds, help="of our load, default: %(default)g")
    parser.add_argument("--restarts", type=int, default=defaults.restarts, help="of the rival, default: %(default)s")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy the runs there, with all requests")
    given = parser.parse_args()
    if given.switches < BLOCKS or given.seconds < 4 * BLOCKS:
        parser.error(f"at least {BLOCKS} switches and {4 * BLOCKS} seconds")
    return Options(given.switches, given.seconds, given.restarts, given.keep)


if __name__ == "__main__":
    sys.exit(main())
