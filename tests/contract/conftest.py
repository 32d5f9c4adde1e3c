"""The targets that the contract is held against. One more target is one more fixture here and its name in TARGETS.

A target is given up, with the schema that its services need, without a release, and owned by the test; `releases`
are built; whatever it started is gone afterwards. The cluster's half runs with `scripts/test cluster`, as root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import kubernetes, sample
from support.cluster_stack import cluster_sparkle, quick_cluster_stack
from support.stack import quick_stack, releases_of, sparkle

from holdfast.infra.stack import Stack
from holdfast.infra.target import Target


class Place:
    """A target that is up, its stack, and where its releases are; `end_s`: how long a color may take to end."""

    def __init__(self, target: Target, stack: Stack, releases: Path, end_s: float = 15.0) -> None:
        self.target = target
        self.stack = stack
        self.releases = releases
        self.end_s = end_s
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


@contextmanager
def cluster(folder: Path, releases: Path) -> Iterator[Place]:
    before = kubernetes.status()["state"] == "up"
    kubernetes.succeed("up")
    try:
        with cluster_sparkle(folder, releases, stack=quick_cluster_stack(2, edges=2)) as found:
            found.schema().expand("0001")
            yield Place(found.target, found.stack, found.home.releases, end_s=60.0)
    finally:
        if not before:
            kubernetes.succeed("down", timeout=120)


TARGETS = {"local": local, "cluster": cluster}


def parameters() -> list[object]:
    """The targets; one that needs a cluster is in that suite alone."""
    asked = sample.whole() and os.geteuid() == 0
    marks = [
        pytest.mark.cluster,
        pytest.mark.timeout(kubernetes.UP_TIMEOUT),
        *([] if asked else [pytest.mark.skip(reason="scripts/test cluster, as root")]),
    ]
    return [pytest.param(name, marks=marks if name == "cluster" else []) for name in TARGETS]


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return releases_of(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="session", params=parameters())
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, releases: Path) -> Iterator[Place]:
    with TARGETS[request.param](tmp_path_factory.mktemp(request.param), releases) as found:
        yield found
