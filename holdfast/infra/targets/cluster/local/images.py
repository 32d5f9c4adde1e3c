"""Images into the cluster: from an archive straight into containerd, where pods find them without a registry."""

from __future__ import annotations

import subprocess
from pathlib import Path

from holdfast.children import Identity
from holdfast.errors import EnvironmentFailed
from holdfast.infra.images.build import Built
from holdfast.infra.targets.cluster.local.configs import CONTAINERD_SOCKET
from holdfast.infra.targets.cluster.local.namespaces import enter_argv, run

CTR = ["ctr", f"--address={CONTAINERD_SOCKET}", "--connect-timeout=20s", "--namespace=k8s.io"]
IMPORT_TIMEOUT = 300.0


def load(init: Identity, built: Built) -> None:
    """Load an image by its tag and by its digest; a pod names either, with `imagePullPolicy: Never`."""
    load_archive(init, built.archive)
    run(init, [*CTR, "images", "tag", "--force", built.name, built.pinned])


def load_archive(init: Identity, archive: Path) -> None:
    """Import an OCI archive; waits up to 20 s for containerd to listen. Raises EnvironmentFailed."""
    argv = enter_argv(init, [*CTR, "images", "import", "-"])
    with archive.open("rb") as file:
        done = subprocess.run(argv, stdin=file, capture_output=True, check=False, timeout=IMPORT_TIMEOUT)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["ctr said nothing"]
        raise EnvironmentFailed(
            f"{archive.name} could not be loaded", because=said[-1], way_out="see containerd.log in the cluster's logs"
        )
