"""A cluster of our own for the tests in this folder: `scripts/test cluster`, as root. Elsewhere they are skipped.

It is started by the first test that needs one, started again after a test that ended it, and ended with
the tests unless it was up before them.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import kubernetes, sample
from support.kubernetes import Cluster

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    asked = sample.whole() and os.geteuid() == 0
    why = "a cluster of our own needs root" if sample.whole() else "scripts/test cluster"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(kubernetes.UP_TIMEOUT))
            if not asked:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def was_up() -> Iterator[bool]:
    """Whether a cluster was up before the tests; one that was not is ended after them."""
    before = bool(kubernetes.status()["state"] == "up")
    yield before
    if not before:
        kubernetes.succeed("down", timeout=120)


@pytest.fixture
def cluster(was_up: bool) -> Iterator[Cluster]:
    """The cluster, with a namespace of the test's own."""
    kubernetes.succeed("up")
    whole = Cluster(Path(kubernetes.succeed("kubeconfig").strip()))
    name = f"test-{uuid.uuid4().hex[:8]}"
    whole.kubectl("create", "namespace", name)
    yield Cluster(whole.kubeconfig, name)
    whole.try_kubectl("delete", "namespace", name, "--wait=false")


LOADED: dict[int, str] = {}
"""The image by the pid of the cluster that has it: it is loaded once a cluster."""


@pytest.fixture
def image(cluster: Cluster) -> str:
    """holdfast's image, built and loaded; by its digest."""
    init = kubernetes.status()["processes"][0]["pid"]
    if init not in LOADED:
        LOADED[init] = kubernetes.succeed("image").strip()
    return LOADED[init]
