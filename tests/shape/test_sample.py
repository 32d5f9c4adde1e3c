"""The sample of a kill or fault suite: repeatable, of the size asked for, whole when asked for whole."""

import pytest
from shape.tree import REPOSITORY
from support.sample import sample, seed_of_commit

POINTS = list(range(100))


def test_one_seed_draws_one_sample_in_order_and_another_seed_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_SUITE", raising=False)
    monkeypatch.setenv("HOLDFAST_SEED", "7")
    drawn = sample(POINTS, 10)
    assert drawn == sample(POINTS, 10) == sorted(drawn)
    assert len(drawn) == 10
    monkeypatch.setenv("HOLDFAST_SEED", "8")
    assert sample(POINTS, 10) != drawn


def test_points_that_must_be_tried_are_in_every_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_SUITE", raising=False)
    assert {3, 50} < set(sample(POINTS, 10, always={3, 50}))
    assert len(sample(POINTS, 10, always={3, 50})) == 10
    assert sample(POINTS, 1, always=[3, 50]) == [3, 50]
    assert sample(POINTS[:3], 10) == POINTS[:3]


def test_a_whole_suite_tries_every_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_SUITE", "whole")
    assert sample(POINTS, 2) == POINTS


def test_a_commit_keeps_its_seed() -> None:
    assert seed_of_commit(REPOSITORY) == seed_of_commit(REPOSITORY) != 1
