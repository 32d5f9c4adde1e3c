"""What only `scripts/test cluster-wide` runs, as root: tests that fill the cluster of scripts/cluster with pods.

It is started if it is not up, and ended with the tests unless it was up before them.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import kubernetes, sample
from support.kubernetes import Cluster, until

from holdfast.infra.targets.cluster.api import Api

HERE = Path(__file__).parent
GONE_S = 240.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    asked = sample.whole() and os.geteuid() == 0
    why = "a cluster of our own needs root" if sample.whole() else "scripts/test cluster-wide"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster_wide)
            item.add_marker(pytest.mark.timeout(kubernetes.UP_TIMEOUT))
            if not asked:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture
def api() -> Iterator[Api]:
    """The cluster, with a namespace of the test's own; its pods are gone when the test is over."""
    was_up = kubernetes.status()["state"] == "up"
    kubernetes.succeed("up")
    whole = Cluster(Path(kubernetes.succeed("kubeconfig").strip()))
    name = f"wide-{uuid.uuid4().hex[:8]}"
    whole.kubectl("create", "namespace", name)
    yield Api(whole.kubeconfig, name)
    whole.try_kubectl("delete", "namespace", name, "--wait=false")
    until(lambda: whole.try_kubectl("get", "namespace", name).returncode, f"{name} is gone", GONE_S)
    if not was_up:
        kubernetes.succeed("down", timeout=120)
