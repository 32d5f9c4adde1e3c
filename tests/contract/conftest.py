"""The targets that the contract is held against. One more target is one more fixture here and its name in TARGETS.

A target is given up, with the schema that its services need, without a release, and owned by the test; `releases`
are built; whatever it started is gone afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.stack import quick_stack, releases_of, sparkle

from holdfast.infra.stack import Stack
from holdfast.infra.target import Target


class Place:
    """A target that is up, its stack, and where its releases are."""

    def __init__(self, target: Target, stack: Stack, releases: Path) -> None:
        self.target = target
        self.stack = stack
        self.releases = releases
        self.token = 0

    def next_token(self) -> int:
        """Begin a new operation: its token is higher than any before."""
        self.token += 1
        self.target.fence(self.token)
        return self.token


@contextmanager
def local(folder: Path, releases: Path) -> Iterator[Place]:
    with sparkle(folder, releases, stack=quick_stack(2)) as found:
        found.schema().expand("0001")
        yield Place(found.target, found.stack, found.home.releases)


TARGETS = {"local": local}


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return releases_of(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="session", params=sorted(TARGETS))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, releases: Path) -> Iterator[Place]:
    with TARGETS[request.param](tmp_path_factory.mktemp(request.param), releases) as found:
        yield found
