"""The release lock on a real API server: one of many gets it, kills and outages end it in time, tokens only grow."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.cable import cable_to
from support.kubernetes import Cluster, until

from holdfast.errors import Refused
from holdfast.infra.targets.cluster.api import Api
from holdfast.infra.targets.cluster.lease import OPERATION, TOKEN, Lease, LeaseLost

CHILD = Path(__file__).resolve().parents[1] / "support" / "lease_child.py"
SHORT_S = 3
ELSEWHERE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
"""Processes that cannot see ours are those of another machine, as far as the lock can know."""


@pytest.fixture
def api(cluster: Cluster) -> Api:
    return Api(cluster.kubeconfig, cluster.namespace, patience=20)


class Operator:
    """Another process that wants the lock."""

    def __init__(self, cluster: Cluster, holder: str, duration_s: int, elsewhere: bool) -> None:
        argv = [sys.executable, "-P", str(CHILD), str(cluster.kubeconfig), cluster.namespace, holder, str(duration_s)]
        self.process = subprocess.Popen(
            [*(ELSEWHERE if elsewhere else []), *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def said(self) -> Any:
        """Its next line."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait(5)}"
        return json.loads(line)

    def ask(self, order: str) -> str:
        """Give it an order and return what it answers."""
        assert self.process.stdin
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return str(self.said())

    def kill(self) -> None:
        """SIGKILL; what `unshare` started goes with it."""
        self.process.kill()
        self.process.wait(10)

    def leave(self) -> None:
        """Have it release the lock, and wait for its end."""
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0


Start = Callable[..., Operator]


@pytest.fixture
def operator(cluster: Cluster) -> Iterator[Start]:
    """Starts operators; those that are left are killed."""
    started: list[Operator] = []

    def start(holder: str = "another", *, duration_s: int = SHORT_S, elsewhere: bool = False) -> Operator:
        started.append(Operator(cluster, holder, duration_s, elsewhere))
        return started[-1]

    yield start
    for one in started:
        with suppress(ProcessLookupError):
            one.kill()
        for pipe in (one.process.stdin, one.process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()


def record(api: Api) -> dict[str, Any]:
    return api.get("Lease", "holdfast")


def token_on(api: Api) -> int:
    return int(record(api)["metadata"]["annotations"][TOKEN])


def test_it_is_held_renewed_and_given_back_and_the_token_stays(api: Api) -> None:
    lease = Lease(api, duration_s=SHORT_S)
    with lease.held("holdfast deploy") as token:
        first = record(api)["spec"]
        assert (first["holderIdentity"] != "", first["leaseTransitions"], lease.token) == (True, 1, token)
        until(lambda: record(api)["spec"]["renewTime"] != first["renewTime"], "it is renewed", SHORT_S)
        time.sleep(SHORT_S)
        lease.check()
        assert not lease.lost
    assert "holderIdentity" not in record(api)["spec"]
    assert token_on(api) == token
    with pytest.raises(LeaseLost, match="its block has ended"):
        lease.check()


def test_the_token_grows_with_every_holder_and_past_what_is_in_force(api: Api) -> None:
    tokens = []
    for newer_than in (0, 0, 41, 0):
        with Lease(api).held("holdfast deploy", newer_than=newer_than) as token:
            tokens.append(token)
    assert tokens == [1, 2, 42, 43]
    api.patch("Lease", "holdfast", {"metadata": {"annotations": {TOKEN: "spoilt"}}})
    with Lease(api).held("holdfast deploy", newer_than=43) as token:
        assert token == 44


def test_a_holder_here_is_named_at_once_in_three_parts(api: Api, operator: Start) -> None:
    other = operator("holdfast deploy")
    assert other.said() == {"token": 1}
    other.ask("note deploy 000007 of /srv/shop/.holdfast")
    begin = time.monotonic()
    with pytest.raises(Refused) as refused, Lease(api).held("holdfast rollback"):
        pass
    assert time.monotonic() - begin < 1
    assert refused.value.what == "another operation is going on"
    for part in ("`holdfast deploy`", f"process {other.process.pid} on ", "since 20", "deploy 000007"):
        assert part in refused.value.because
    assert f"end process {other.process.pid}" in refused.value.way_out
    other.leave()


def test_a_holder_elsewhere_is_refused_as_soon_as_it_renews(api: Api, operator: Start) -> None:
    assert operator("holdfast deploy", elsewhere=True).said() == {"token": 1}
    begin = time.monotonic()
    with pytest.raises(Refused, match="another operation"), Lease(api).held("holdfast rollback"):
        pass
    assert time.monotonic() - begin < SHORT_S * 0.8


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
def test_of_two_operators_who_want_it_at_once_exactly_one_gets_it(api: Api, operator: Start, elsewhere: bool) -> None:
    tokens = []
    for _ in range(6):
        two = [operator(f"operator {n}", elsewhere=elsewhere) for n in range(2)]
        said = [one.said() for one in two]
        won = [answer["token"] for answer in said if "token" in answer]
        assert (len(won), sum("refused" in answer for answer in said)) == (1, 1), said
        tokens += won
        for one in two:
            one.leave()
    assert tokens == sorted(set(tokens))


def test_of_ten_in_one_process_one_gets_it(api: Api) -> None:
    ready, done = threading.Barrier(10), threading.Event()

    def want(number: int) -> int:
        ready.wait()
        try:
            with Lease(api).held(f"operator {number}") as token:
                done.wait(10)
                return token
        except Refused:
            return 0

    for turn in range(1, 6):
        with ThreadPoolExecutor(10) as pool:
            answers = [pool.submit(want, number) for number in range(10)]
            until(lambda answers=answers: sum(one.done() for one in answers) == 9, "nine are refused", 15)  # type: ignore[misc]
            done.set()
        assert sorted(one.result() for one in answers) == [0] * 9 + [turn]
        done.clear()


def test_a_holder_that_was_killed_here_is_followed_at_once(api: Api, operator: Start) -> None:
    other = operator("holdfast deploy", duration_s=60)
    assert other.said() == {"token": 1}
    other.ask("note deploy 000007 of /srv/shop/.holdfast")
    other.kill()
    lease, begin = Lease(api), time.monotonic()
    with lease.held("holdfast resume") as token:
        assert time.monotonic() - begin < 1
        assert token == 2
        assert lease.noted() == "deploy 000007 of /srv/shop/.holdfast"


def test_a_holder_that_was_killed_elsewhere_is_followed_when_its_lease_is_over(api: Api, operator: Start) -> None:
    other = operator("holdfast deploy", elsewhere=True)
    assert other.said() == {"token": 1}
    other.kill()
    begin = time.monotonic()
    with Lease(api).held("holdfast resume") as token:
        assert SHORT_S <= time.monotonic() - begin < SHORT_S + 2
        assert token == 2


def test_the_clock_of_another_machine_does_not_matter(api: Api, operator: Start) -> None:
    """Its renewals are a year ahead, or behind: only that they change counts."""
    assert operator("holdfast deploy", elsewhere=True).said() == {"token": 1}
    stop = threading.Event()

    def alter() -> None:
        year = 2020
        while not stop.wait(0.2):
            year = 2032 if year == 2020 else 2020
            api.patch("Lease", "holdfast", {"spec": {"renewTime": f"{year}-01-01T00:00:00.000000Z"}})

    altering = threading.Thread(target=alter)
    altering.start()
    try:
        with pytest.raises(Refused), Lease(api).held("holdfast rollback"):
            pass
    finally:
        stop.set()
        altering.join()


def test_a_holder_that_is_overtaken_knows_it_and_leaves_the_record_alone(api: Api) -> None:
    lease = Lease(api, duration_s=SHORT_S)
    with lease.held("holdfast deploy") as token:
        api.delete("Lease", "holdfast")
        with Lease(api).held("holdfast rollback", newer_than=token) as newer:
            assert newer > token
            until(lambda: lease.lost, "it knows", SHORT_S)
            with pytest.raises(LeaseLost, match="`holdfast rollback`"):
                lease.check()
            with pytest.raises(LeaseLost):
                lease.note("deploy")
        after = record(api)
    assert record(api) == after


def test_a_change_of_the_object_by_others_does_not_end_the_holding(api: Api) -> None:
    lease = Lease(api, duration_s=SHORT_S)
    with lease.held("holdfast deploy"):
        api.patch("Lease", "holdfast", {"metadata": {"labels": {"team": "shop"}}})
        time.sleep(SHORT_S + 0.5)
        lease.check()
        assert record(api)["metadata"]["labels"] == {"team": "shop"}


def test_the_note_stays_until_it_is_cleared(api: Api) -> None:
    lease = Lease(api)
    assert lease.noted() == ""
    with lease.held("holdfast deploy", operation="deploy 000001"):
        assert lease.noted() == "deploy 000001"
        lease.note("rollback 000002")
    assert Lease(api).noted() == "rollback 000002"
    with lease.held("holdfast promote"):
        lease.note("")
    assert lease.noted() == ""
    assert record(api)["metadata"]["annotations"][OPERATION] == ""


def test_while_the_api_server_is_away_the_lock_runs_out_and_comes_back_if_nobody_took_it(
    cluster: Cluster, api: Api, tmp_path: Path
) -> None:
    with cable_to(cluster.kubeconfig, tmp_path) as (cable, over):
        lease = Lease(Api(over, cluster.namespace, patience=2), duration_s=SHORT_S)
        with lease.held("holdfast deploy") as token:
            cable.pull()
            took = until(lambda: lease.lost, "it knows", SHORT_S + 1)
            assert took <= SHORT_S + 0.3
            with pytest.raises(LeaseLost, match=f"could not be renewed for {SHORT_S} s"):
                lease.check()
            cable.plug()
            lease.check()
            assert not lease.lost
            assert token_on(api) == token


def test_while_the_api_server_is_away_from_one_another_may_take_over(
    cluster: Cluster, api: Api, tmp_path: Path, operator: Start
) -> None:
    """Whoever is cut off knows that it lost the lock before anybody else can have it; its token is the lower one."""
    with cable_to(cluster.kubeconfig, tmp_path) as (cable, over):
        lease = Lease(Api(over, cluster.namespace, patience=2), duration_s=SHORT_S)
        with lease.held("holdfast deploy") as token:
            cable.pull()
            other = operator("holdfast rollback", elsewhere=True)
            newer = other.said()["token"]
            assert lease.lost
            assert newer > token
            cable.plug()
            with pytest.raises(LeaseLost, match="`holdfast rollback`"):
                lease.check()
            assert other.ask("check") == "ours"
    assert token_on(api) == newer
    assert other.ask("check") == "ours"
    other.leave()


def test_an_api_server_that_is_away_at_first_is_waited_for(cluster: Cluster, tmp_path: Path) -> None:
    with cable_to(cluster.kubeconfig, tmp_path) as (cable, over):
        cable.pull()
        threading.Timer(1.5, cable.plug).start()
        begin = time.monotonic()
        with Lease(Api(over, cluster.namespace, patience=20)).held("holdfast deploy") as token:
            assert (token, time.monotonic() - begin > 1) == (1, True)


def test_a_lock_that_cannot_be_given_back_is_free_when_it_has_run_out(
    cluster: Cluster, api: Api, tmp_path: Path
) -> None:
    with cable_to(cluster.kubeconfig, tmp_path) as (cable, over):
        with Lease(Api(over, cluster.namespace, patience=1), duration_s=SHORT_S).held("holdfast deploy"):
            cable.pull()
        assert "holderIdentity" in record(api)["spec"]
        until(lambda: free(api), "it is free", SHORT_S + 1)


def test_a_holder_that_was_stopped_here_is_followed_when_its_lease_is_over_and_knows_it_when_it_goes_on(
    api: Api, operator: Start
) -> None:
    other = operator("holdfast deploy")
    assert other.said() == {"token": 1}
    other.process.send_signal(signal.SIGSTOP)
    until(lambda: free(api), "it is free", SHORT_S + 1)
    assert token_on(api) == 2
    other.process.send_signal(signal.SIGCONT)
    assert "the lock was lost" in other.ask("check")
    assert "the lock was lost" in other.ask("note deploy")
    assert token_on(api) == 2


def free(api: Api) -> bool:
    with suppress(Refused), Lease(api).held("holdfast resume"):
        return True
    return False
