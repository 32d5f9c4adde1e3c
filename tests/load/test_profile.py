"""Profiles: the shipped ones are valid, and a mistake is told by file and key."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from support.load import PlanOf

from holdfast.content import content_root
from holdfast.errors import UsageError
from holdfast.load.arrivals import Constant, Poisson
from holdfast.load.profile import load_profile, read_profile, seconds
from holdfast.load.request import starts

GOOD = """\
arrivals: {kind: poisson, rate: 200}
duration: 60s
timeout: 10s
connections: {max: 512, fresh: 0.5}
mix:
  chat: {weight: 8, kind: http, method: POST, path: /v1/chat, body: {message: "question {n}"}, idempotency_key: true}
  stream: {weight: 2, kind: sse, method: POST, path: /v1/chat/stream}
"""


@pytest.mark.parametrize("name", sorted(file.stem for file in (content_root() / "load/profiles").glob("*.yaml")))
def test_a_shipped_profile_is_valid_and_has_its_files_name(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.seconds > 0


def test_verify_offers_what_it_promises(plan_of: PlanOf) -> None:
    profile = load_profile("verify")
    weights = {name: route.weight for name, route in profile.mix.items()}
    assert isinstance(profile.arrivals, Poisson)
    assert profile.arrivals.rate == 200
    assert weights == {"chat": 57, "chat-unkeyed": 3, "whoami": 30, "stream": 10}
    assert [name for name, route in profile.mix.items() if route.effect and not route.idempotency_key] == [
        "chat-unkeyed"
    ]


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("weight: 8", "weight: many", "mix.chat.weight: expected int, got str"),
        ("weight: 8", "wieght: 8", "mix.chat: it contains unknown field wieght"),
        ("weight: 8", "weight: 0", "mix.chat.weight: expected int >= 1"),
        ("kind: http", "kind: gopher", "mix.chat.kind: Invalid value 'gopher'"),
        ("method: POST", "method: FETCH", "mix.chat.method: expected str matching regex"),
        ("rate: 200", "rate: fast", "arrivals.rate: expected float, got str"),
        ("rate: 200", "rate: 0", "arrivals.rate: expected float > 0"),
        ("duration: 60s", "duration: 60", "duration: expected str, got int"),
        ("duration: 60s", "duration: 60 s", "duration: expected str matching regex"),
        ("fresh: 0.5", "fresh: 2", "connections.fresh: expected float <= 1"),
        ("timeout: 10s", "timeouts: 10s", "it contains unknown field timeouts"),
        ("arrivals: {kind: poisson, rate: 200}\n", "", "missing required field arrivals"),
    ],
)
def test_a_mistake_is_told_by_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: str, bad: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert GOOD.count(good) >= 1
    (tmp_path / "load/profiles").mkdir(parents=True)
    file = tmp_path / "load/profiles/mine.yaml"
    file.write_text(GOOD)
    read_profile(file)
    file.write_text(GOOD.replace(good, bad, 1))
    with pytest.raises(UsageError) as raised:
        read_profile(file)
    assert raised.value.what.startswith("load/profiles/mine.yaml:")
    assert said in raised.value.what


@pytest.mark.parametrize(("text", "expected"), [("500ms", 0.5), ("60s", 60), ("2m", 120), ("1.5h", 5400)])
def test_durations_have_a_unit(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert list(Constant(4).offsets(1, "any")) == [0, 250_000_000, 500_000_000, 750_000_000]


def test_poisson_arrivals_keep_the_rate_and_vary_as_poisson_does() -> None:
    offsets = list(Poisson(100).offsets(200, "seed"))
    a_second = Counter(at // 1_000_000_000 for at in offsets)
    counts = [a_second[second] for second in range(200)]
    mean = sum(counts) / 200
    variance = sum((count - mean) ** 2 for count in counts) / 200
    assert mean == pytest.approx(100, rel=0.03)
    assert variance / mean == pytest.approx(1, abs=0.35)
    assert offsets == sorted(offsets)


def test_the_same_seed_gives_the_same_load_and_another_one_another(plan_of: PlanOf) -> None:
    mix = {"a": {"kind": "http", "path": "/a", "weight": 3}, "b": {"kind": "http", "path": "/b"}}

    def drawn(stream: str) -> list[tuple[int, str, bool, str]]:
        plan = plan_of("http://127.0.0.1:1", mix, kind="poisson", duration="5s", stream=stream)
        return [(s.intended, s.template.name, s.fresh, s.traceparent) for s in starts(plan, 0)]

    assert drawn("main") == drawn("main")
    assert drawn("main") != drawn("other")
    names = Counter(name for _, name, _, _ in drawn("main"))
    assert names["a"] / names.total() == pytest.approx(0.75, abs=0.08)
