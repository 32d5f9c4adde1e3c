"""The worker as a process: it starts, tells the truth about stalls, and is never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from support.load import PlanOf, Server, serving

from holdfast.children import Identity, identify
from holdfast.errors import EnvironmentFailed
from holdfast.ledger import ACKNOWLEDGED, UNKNOWN
from holdfast.load.gates import Generator
from holdfast.load.probe import probe
from holdfast.load.process import LoadPlan, LoadProcess
from holdfast.measures import nearest_rank
from holdfast.run import Run, read_history
from holdfast.timeline import points, spans
from holdfast.verdict import Outcome

PLAIN = {"plain": {"kind": "http", "path": "/plain", "method": "POST", "idempotency_key": True, "effect": True}}
SILENT = {"silent": {"kind": "http", "path": "/silent"}}


def until_requests(run: Run, count: int, *, settled: bool = True) -> None:
    """Poll until the ledger holds so many requests."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        requests = read_history(run.path).requests
        if sum(1 for r in requests if r.settled or not settled) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"the ledger never held {count} requests")


def ended(process: Identity, within: float) -> bool:
    return process.wait(within)


def worker_of(load: LoadProcess) -> Identity:
    found = identify(load.pid)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["constant", "poisson"])
def test_a_frozen_target_shows_its_whole_stall(run: Run, plan_of: PlanOf, kind: str) -> None:
    """4 s at 200/s, of which the target is frozen for 1 s: the arrivals of that second wait for its end.

    With evenly spaced starts 200 of 800 wait 1000, 995, … 5 ms, so that 1 % of all (8) waited more than 960 ms.
    With Poisson arrivals the truth is computed from the arrivals that were drawn.
    """
    with serving() as server:
        plan = plan_of(server.url, PLAIN, kind=kind, rate=200, duration="4s", timeout="5s")
        with LoadProcess.start(plan) as load:
            until_requests(run, 200)
            frozen = time.monotonic_ns()
            server.freeze()
            time.sleep(1)
            server.thaw()
            thawed = time.monotonic_ns()
            load.wait(15)
    requests = read_history(run.path).requests
    waits = [max(thawed - r.offered.intended, 0) if frozen <= r.offered.intended else 0 for r in requests]
    truth = nearest_rank(waits, 0.99)
    assert len(requests) == pytest.approx(800, rel=0 if kind == "constant" else 0.15)
    assert {r.state for r in requests} == {ACKNOWLEDGED}
    measured = nearest_rank([r.latency or 0 for r in requests], 0.99)
    assert measured == pytest.approx(truth, rel=0.05)
    if kind == "constant":
        assert measured == pytest.approx(0.96e9, rel=0.05)
    (result,) = points(read_history(run.path).events, "load.result")
    assert result.data["routes"]["plain"]["response_p99_ms"] == pytest.approx(truth / 1e6, rel=0.05)


def test_a_generator_that_stood_still_gives_no_verdict(server: Server, run: Run, plan_of: PlanOf) -> None:
    with LoadProcess.start(plan_of(server.url, PLAIN, rate=200, duration="3s")) as load:
        until_requests(run, 100)
        for _ in range(2):
            os.kill(load.pid, signal.SIGSTOP)
            time.sleep(0.4)
            os.kill(load.pid, signal.SIGCONT)
            time.sleep(0.7)
        load.wait(15)
    verdict = Generator().judge(read_history(run.path))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "starts were late" in verdict.because
    assert "stood still" in verdict.because


def test_a_generator_that_was_well_says_so(server: Server, run: Run, plan_of: PlanOf) -> None:
    with LoadProcess.start(plan_of(server.url, PLAIN, rate=100, duration="2500ms")) as load:
        load.wait(15)
        assert load.exit_code == 0
    history = read_history(run.path)
    (load_span,) = spans(history.events, "load")
    assert load_span.ok
    assert load_span.data["stream"] == "main"
    assert len(points(history.events, "load.health")) == 2
    (result,) = points(history.events, "load.result")
    assert result.data["offered"] == 250
    assert result.data["rate"] == pytest.approx(100, rel=0.02)
    # What a busy machine may do to a generator is allowed for here: the limit's own tests are elsewhere.
    assert Generator(lag_p99_ms=100, stall_ms=500).judge(history).outcome is Outcome.PASS


def test_the_worker_goes_before_ordinary_processes_where_that_is_permitted(server: Server, plan_of: PlanOf) -> None:
    try_it = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
    permitted = subprocess.run([sys.executable, "-c", try_it], capture_output=True, check=False).returncode == 0
    with LoadProcess.start(plan_of(server.url, PLAIN)) as load:
        assert os.sched_getscheduler(load.pid) == (os.SCHED_RR if permitted else os.SCHED_OTHER)


def test_stop_waits_for_what_is_in_flight_and_starts_no_more(run: Run, plan_of: PlanOf) -> None:
    with serving() as server:
        load = LoadProcess.start(plan_of(server.url, PLAIN, rate=200, duration="60s", timeout="20s"))
        until_requests(run, 50)
        server.freeze()
        until_requests(run, len(read_history(run.path).requests) + 20, settled=False)
        os.kill(load.pid, signal.SIGTERM)
        time.sleep(0.3)
        offered = len(read_history(run.path).requests)
        assert load.alive
        server.thaw()
        load.stop()
    requests = read_history(run.path).requests
    assert load.exit_code == 0
    assert len(requests) == offered
    assert {r.state for r in requests} == {ACKNOWLEDGED}


def test_stop_is_bounded_by_the_plans_drain(server: Server, run: Run, plan_of: PlanOf) -> None:
    load = LoadProcess.start(plan_of(server.url, SILENT, duration="60s", timeout="30s", drain=0.5))
    until_requests(run, 5, settled=False)
    began = time.monotonic()
    load.stop()
    assert time.monotonic() - began < 5
    assert load.exit_code == 0
    assert {r.state for r in read_history(run.path).requests} == {UNKNOWN}


def test_a_killed_worker_leaves_unknowns_and_no_verdict_on_the_target(run: Run, plan_of: PlanOf) -> None:
    with serving() as server, LoadProcess.start(plan_of(server.url, PLAIN, rate=200, duration="60s")) as load:
        until_requests(run, 50)
        server.freeze()
        until_requests(run, len(read_history(run.path).requests) + 10, settled=False)
        os.kill(load.pid, signal.SIGKILL)
        load.wait(5)
        server.thaw()
    history = read_history(run.path)
    assert any(r.settled is None and r.state == UNKNOWN for r in history.requests)
    assert Generator().judge(history).outcome is Outcome.UNKNOWN


def test_an_error_in_the_body_still_ends_the_worker(server: Server, plan_of: PlanOf) -> None:
    workers = []

    def fail_under_load() -> None:
        with LoadProcess.start(plan_of(server.url, PLAIN, duration="60s")) as load:
            workers.append(worker_of(load))
            raise KeyError

    with pytest.raises(KeyError):
        fail_under_load()
    assert ended(workers[0], 0)


def test_the_worker_ends_when_its_parent_is_killed(server: Server, run: Run, plan_of: PlanOf, tmp_path: Path) -> None:
    plan_file = tmp_path / "plan.json"
    plan_file.write_bytes(msgspec.json.encode(plan_of(server.url, PLAIN, duration="60s")))
    code = (
        "import sys, time, msgspec, pathlib; from holdfast.load.process import LoadPlan, LoadProcess\n"
        "plan = msgspec.json.decode(pathlib.Path(sys.argv[1]).read_bytes(), type=LoadPlan)\n"
        "print(LoadProcess.start(plan).pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-P", "-c", code, str(plan_file)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    worker = identify(int(parent.stdout.readline()))
    assert worker is not None
    until_requests(run, 10)
    parent.kill()
    parent.wait(5)
    parent.stdout.close()
    assert ended(worker, 5)
    assert {r.state for r in read_history(run.path).requests} == {ACKNOWLEDGED}


def test_a_worker_that_cannot_start_says_why(run: Run, plan_of: PlanOf) -> None:
    with pytest.raises(EnvironmentFailed) as raised:
        LoadProcess.start(plan_of("ftp://127.0.0.1", PLAIN))
    assert "did not start" in raised.value.what
    assert "load-main.log" in raised.value.way_out


def test_a_full_disk_ends_the_load_before_an_unrecorded_request_is_sent(
    server: Server, run: Run, plan_of: PlanOf, tmp_path: Path
) -> None:
    """A file size limit stands in for the full disk: the write fails in the same call."""
    plan_file = tmp_path / "plan.json"
    plan_file.write_bytes(msgspec.json.encode(plan_of(server.url, PLAIN, rate=200, duration="20s")))
    code = (
        "import resource, signal, sys; from holdfast.load.worker import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); sys.exit(main(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(plan_file)],
        stdin=(pipe := os.pipe())[0], capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    for end in pipe:
        os.close(end)
    assert done.returncode == 3
    assert b"could not write" in done.stderr
    recorded = {r.id for r in read_history(run.path).requests}
    asked = {each["x-request-id"] for each in server.seen("/plain") if each["x-request-id"].startswith(run.id)}
    assert asked
    assert asked <= recorded
    assert Generator().judge(read_history(run.path)).outcome is Outcome.UNKNOWN


def test_a_probe_returns_its_own_streams_requests(server: Server, run: Run, plan_of: PlanOf) -> None:
    profile = plan_of(server.url, PLAIN).profile
    first = probe(server.url, profile, run, "gate-1", {"x-holdfast-preview": "idle"}, 0.5)
    second = probe(server.url, profile, run, "gate-11", {}, 0.3)
    assert (len(first), len(second)) == (50, 30)
    assert {r.state for r in first} == {ACKNOWLEDGED}
    assert all(r.id.startswith(f"{run.id}-gate-1-") for r in first)
    previews = {s.data["stream"]: s.data["preview"] for s in spans(read_history(run.path).events, "load")}
    assert previews == {"gate-1": True, "gate-11": False}


def test_a_plan_survives_its_file(plan_of: PlanOf) -> None:
    plan = plan_of("http://127.0.0.1:1", {**PLAIN, "s": {"kind": "sse", "path": "/s"}}, headers={"x-a": "b"})
    assert msgspec.json.decode(msgspec.json.encode(plan), type=LoadPlan) == plan
