"""Logs of pods: which are meant, and each line once while they are followed. The API here is a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.errors import EnvironmentFailed, UsageError
from holdfast.infra.home import Home
from holdfast.pipelines import logs


class Pods:
    """What an API server says of pods' logs, look by look."""

    namespace = "shop-dev"

    def __init__(self, said: dict[str, list[str]]) -> None:
        self.said = said
        self.asked: list[tuple[str, str]] = []

    def list(self, kind: str) -> list[dict[str, dict[str, str]]]:
        return [{"metadata": {"name": name}} for name in self.said]

    def log(self, pod: str, *, lines: int = 0, since: str = "") -> str:
        self.asked.append((pod, since))
        if not self.said[pod]:
            raise EnvironmentFailed("it has not begun")
        return self.said[pod].pop(0)


NAMES = ("gateway-blue-1a-x", "gateway-green-2b-y", "engine-blue-3c-z")


@pytest.mark.parametrize(("asked", "count"), [(None, 3), ("gateway", 2), ("gateway-green", 1), ("engine-blue-3c-z", 1)])
def test_a_name_means_a_pod_a_color_or_a_service(asked: str | None, count: int) -> None:
    assert len(logs._pods(Pods({name: [] for name in NAMES}), asked)) == count  # type: ignore[arg-type]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as found:
        logs._pods(Pods({name: [] for name in NAMES}), "gate")  # type: ignore[arg-type]
    assert all(name in found.value.because for name in NAMES)


def test_each_line_is_followed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = "2999-01-01T00:00:00.1Z one\n2999-01-01T00:00:00.2Z two\n"
    api = Pods({"gateway-blue-1a-x": [first, "2999-01-01T00:00:00.2Z two\n2999-01-01T00:00:00.3Z three\n"]})
    monkeypatch.setattr(logs, "_api", lambda home: api)
    monkeypatch.setattr(logs, "AGAIN_S", 0.0)
    lines = logs._follow_pods(Home(tmp_path), "gateway")
    assert [next(lines)[1] for _ in range(3)] == ["one", "two", "three"]
    assert api.asked[-1] == ("gateway-blue-1a-x", "2999-01-01T00:00:00.2Z")


def test_a_pod_that_has_not_begun_says_nothing() -> None:
    assert logs._said(Pods({"gateway-blue-1a-x": []}), "gateway-blue-1a-x", 5) == []  # type: ignore[arg-type]
