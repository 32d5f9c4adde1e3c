"""The ledger: its file survives a kill, and `reconcile` is compared with the words it is defined by."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from holdfast.ledger import (
    ACCEPTED,
    ACKNOWLEDGED,
    FAILED,
    UNKNOWN,
    Effect,
    LedgerWriter,
    Offered,
    Request,
    Settled,
    count,
    read_ledger,
    reconcile,
)

STATES = (ACKNOWLEDGED, ACCEPTED, FAILED, UNKNOWN)


def request(id_: str, state: str = ACKNOWLEDGED, *, key: str | None = None, effect: bool = True) -> Request:
    offered = Offered(id_, "chat", key, effect, 0, 1)
    return Request(offered=offered, settled=Settled(id_, 2, state, 200))


def effect(id_: str, key: str | None = None) -> Effect:
    return Effect(request_id=id_, key=key)


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_ledger_reads_back_in_the_order_of_offering(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path / "ledger.jsonl")
    for id_ in ("b", "a"):
        writer.offer(Offered(id_, "chat", None, True, 10, 11))
    writer.settle(Settled("a", 25, ACKNOWLEDGED, 200, "blue", "gateway-blue#1", "fine"))
    writer.close()
    b, a = read_ledger(tmp_path / "ledger.jsonl")
    assert (b.id, b.state, b.latency) == ("b", UNKNOWN, None)
    assert (a.id, a.state, a.latency) == ("a", ACKNOWLEDGED, 15)
    assert a.settled is not None
    assert (a.settled.color, a.settled.instance, a.settled.detail) == ("blue", "gateway-blue#1", "fine")


def test_of_a_request_that_is_sent_again_the_last_send_stands(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path / "ledger.jsonl")
    for sent in (11, 99):
        writer.offer(Offered("a", "chat", "k", True, 10, sent))
    (found,) = read_ledger(tmp_path / "ledger.jsonl")
    assert (found.offered.intended, found.offered.sent) == (10, 99)


def test_an_end_that_was_torn_by_a_kill_leaves_the_request_unknown(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    writer = LedgerWriter(path)
    writer.offer(Offered("a", "chat", None, True, 10, 11))
    writer.settle(Settled("a", 25, ACKNOWLEDGED, 200))
    path.write_bytes(path.read_bytes()[:-5])
    assert [each.state for each in read_ledger(path)] == [UNKNOWN]


def test_no_file_is_no_request(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "none") == []


# -- examples ----------------------------------------------------------------------------------------------------------


def test_an_acknowledged_or_accepted_request_without_an_effect_is_lost() -> None:
    requests = [request("a"), request("b", ACCEPTED), request("c"), request("d", effect=False), request("e", FAILED)]
    found = reconcile(requests, [effect("c")])
    assert (found.lost, found.duplicated, found.unexplained) == (("a", "b"), (), ())


def test_two_effects_of_a_request_are_a_duplicate() -> None:
    assert reconcile([request("a")], [effect("a"), effect("a")]).duplicated == ("a",)


def test_effects_of_two_requests_under_one_key_are_a_duplicate_of_both() -> None:
    requests = [request("a", key="k"), request("b", key="k")]
    assert reconcile(requests, [effect("a", "k"), effect("b", "k")]).duplicated == ("a", "b")


def test_a_replayed_answer_stands_on_the_effect_of_the_first_request_with_its_key() -> None:
    requests = [request("a", UNKNOWN, key="k"), request("b", key="k")]
    found = reconcile(requests, [effect("a", "k")])
    assert (found.lost, found.duplicated, found.resolved) == ((), (), {"a": True})


def test_an_effect_that_nobody_asked_for_is_unexplained() -> None:
    assert reconcile([], [effect("x")]).unexplained == ("x",)


def test_an_effect_of_a_failed_request_is_unexplained() -> None:
    assert reconcile([request("a", FAILED)], [effect("a")]).unexplained == ("a",)


def test_unknown_requests_are_resolved_by_the_effects() -> None:
    requests = [request("a", UNKNOWN), request("b", UNKNOWN), request("c", UNKNOWN, effect=False)]
    found = reconcile(requests, [effect("a")])
    assert found.resolved == {"a": True, "b": False}
    assert (found.lost, found.unexplained) == ((), ())


def test_without_effects_nothing_is_known_to_be_lost_and_what_is_open_is_unexplained() -> None:
    requests = [request("a"), request("b", UNKNOWN), request("c", UNKNOWN, effect=False), request("d", FAILED)]
    found = reconcile(requests, None)
    assert (found.lost, found.duplicated, found.unexplained, found.complete) == ((), (), ("b",), False)


# -- properties --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """What clients were told, and what was done."""

    requests: list[Request]
    effects: list[Effect]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to 12 requests over a few keys; each leaves 0 to 2 effects; some effects nobody asked for."""
    keys = st.one_of(st.none(), st.sampled_from(["k1", "k2", "k3"]))
    requests = [
        request(f"r{k}", draw(st.sampled_from(STATES)), key=draw(keys), effect=draw(st.booleans()))
        for k in range(draw(st.integers(0, 12)))
    ]
    effects = [effect(r.id, r.offered.key) for r in requests for _ in range(draw(st.integers(0, 2)))]
    effects += [effect(f"x{k}", draw(keys)) for k in range(draw(st.integers(0, 3)))]
    return World(requests, draw(st.permutations(effects)))


@st.composite
def honest_worlds(draw: st.DrawFn) -> World:
    """A stack that does what it says: each request has a key of its own, and one effect exactly when it should."""
    requests = [
        request(f"r{k}", draw(st.sampled_from(STATES)), key=f"key{k}", effect=draw(st.booleans()))
        for k in range(draw(st.integers(0, 12)))
    ]
    effects = [
        effect(r.id, r.offered.key)
        for r in requests
        if r.offered.effect and (r.state in (ACKNOWLEDGED, ACCEPTED) or (r.state == UNKNOWN and draw(st.booleans())))
    ]
    return World(requests, draw(st.permutations(effects)))


@given(worlds())
def test_offered_is_the_sum_of_the_four_ends(world: World) -> None:
    counts = count(world.requests, reconcile(world.requests, world.effects))
    assert counts.offered == len(world.requests)
    assert counts.offered == counts.acknowledged + counts.accepted + counts.failed + counts.unknown


@given(honest_worlds())
def test_an_honest_stack_is_never_accused(world: World) -> None:
    found = reconcile(world.requests, world.effects)
    assert (found.lost, found.duplicated, found.unexplained) == ((), (), ())


@given(honest_worlds(), st.data())
def test_each_effect_that_is_taken_away_from_an_honest_stack_is_missed_by_name(
    world: World, data: st.DataObject
) -> None:
    told = {r.id for r in world.requests if r.state in (ACKNOWLEDGED, ACCEPTED)}
    removable = [each for each in world.effects if each.request_id in told]
    gone = data.draw(st.sets(st.sampled_from(removable)) if removable else st.just(set()))
    kept = [each for each in world.effects if each not in gone]
    assert set(reconcile(world.requests, kept).lost) == {each.request_id for each in gone}


@given(honest_worlds(), st.data())
def test_each_effect_that_an_honest_stack_does_twice_is_found_by_name(world: World, data: st.DataObject) -> None:
    again = data.draw(st.sets(st.sampled_from(world.effects)) if world.effects else st.just(set()))
    found = reconcile(world.requests, [*world.effects, *again])
    assert set(found.duplicated) == {each.request_id for each in again}
    assert found.lost == ()


@given(worlds())
def test_lost_is_what_was_told_and_left_no_effect_under_its_id_or_key(world: World) -> None:
    done = {each.request_id for each in world.effects}
    keys = {each.key for each in world.effects if each.key}
    expected = [
        r.id
        for r in world.requests
        if r.state in (ACKNOWLEDGED, ACCEPTED)
        and r.offered.effect
        and r.id not in done
        and (r.offered.key is None or r.offered.key not in keys)
    ]
    assert list(reconcile(world.requests, world.effects).lost) == expected


@given(worlds())
def test_duplicated_is_every_request_of_which_more_was_done_than_once(world: World) -> None:
    by_id = Counter(each.request_id for each in world.effects)
    by_key = Counter(key for key, _ in {(each.key or "", each.request_id) for each in world.effects} if key)
    expected = {each.request_id for each in world.effects if by_id[each.request_id] > 1 or by_key[each.key or ""] > 1}
    assert set(reconcile(world.requests, world.effects).duplicated) == expected


@given(worlds())
def test_every_effect_is_explained_or_named(world: World) -> None:
    states = {r.id: r.state for r in world.requests}
    expected = {each.request_id for each in world.effects if states.get(each.request_id, FAILED) == FAILED}
    assert set(reconcile(world.requests, world.effects).unexplained) == expected


@given(worlds(), st.data())
def test_the_order_of_effects_does_not_matter(world: World, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(world.effects))
    assert reconcile(world.requests, shuffled) == reconcile(world.requests, world.effects)


@given(worlds())
def test_a_request_is_never_both_lost_and_duplicated(world: World) -> None:
    found = reconcile(world.requests, world.effects)
    assert not set(found.lost) & set(found.duplicated)
    assert not set(found.lost) & set(found.unexplained)


@given(worlds())
def test_effects_that_could_not_be_read_accuse_nobody_of_loss(world: World) -> None:
    found = reconcile(world.requests, None)
    assert not found.complete
    assert (found.lost, found.duplicated, found.resolved) == ((), (), {})
