"""Which points of a kill or fault suite this run tries: a seeded sample, or all of them when the suite is run whole."""

import os
import random
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

Point = TypeVar("Point")


def seed_of_commit(root: Path) -> int:
    """A commit always tries the same sample, and the next commit another one. Outside of git: 1."""
    head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return int(head.stdout[:8], 16) if head.returncode == 0 else 1


def seed() -> int:
    """The run's seed; tests/conftest.py sets it unless the caller did."""
    return int(os.environ["HOLDFAST_SEED"])


def whole() -> bool:
    """Was the suite asked for by name (`scripts/test crash`, `scripts/test all`)?"""
    return os.environ.get("HOLDFAST_SUITE") == "whole"


def sample(points: Sequence[Point], count: int, always: Collection[Point] = ()) -> list[Point]:
    """`count` of the points (or all), in their order, those in `always` among them even when they are more."""
    if whole():
        return list(points)
    others = [index for index, point in enumerate(points) if point not in always]
    drawn = random.Random(seed()).sample(others, min(len(others), max(0, count - len(always))))
    return [point for index, point in enumerate(points) if point in always or index in drawn]
