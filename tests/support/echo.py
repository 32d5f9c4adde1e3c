"""Many small pods: the static echo of infra/images/echo, built once and loaded into the cluster of scripts/cluster."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from support.kubernetes import Object, deployment
from support.stack import ROOT

from holdfast.infra.images import cache
from holdfast.infra.images.archive import write_archive
from holdfast.infra.images.layer import write_layer
from holdfast.infra.images.pause import go_program
from holdfast.infra.targets.cluster.local import images, state
from holdfast.infra.targets.cluster.local.layout import default_layout

PORT = 8080
GRACE_S = 5
SOURCE = ROOT / "infra" / "images" / "echo"


def load_echo() -> str:
    """Build the echo unless this source was built before, load it, return the image's name."""
    current = state.load(default_layout())
    assert current, "scripts/cluster up"
    name = f"localhost/holdfast-echo:{_digest()}"
    images.load_archive(current.init, _archive(name))
    return name


def echo(image: str, color: str, replicas: int) -> Object:
    """A Deployment of echoes: no probe, no token and no variables of Services, so that many start quickly."""
    variables: list[Object] = [{"name": "COLOR", "value": color}, {"name": "GRACE_S", "value": str(GRACE_S - 1)}]
    container = {
        "name": "echo",
        "image": image,
        "imagePullPolicy": "Never",
        "env": [*variables, {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"containerPort": PORT}],
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
        "securityContext": {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False},
    }
    made = deployment(color, {"app": "echo", "color": color}, container, replicas)
    made["spec"]["template"]["spec"] |= {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S,
    }
    return made


def tell_all(method: str, addresses: list[str], path: str) -> list[str]:
    """Ask every pod by its address, some at a time; what each answered. Raises httpx.HTTPError when one does not."""
    with httpx.Client(timeout=10, trust_env=False) as client, ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda address: client.request(method, f"http://{address}:{PORT}{path}"), addresses)
        return [answer.raise_for_status().text for answer in answers]


def _archive(name: str) -> Path:
    folder = cache.folder() / f"echo-{_digest()}"
    program, archive = folder / "echo", folder / "echo.tar"
    if not archive.exists():
        argv = [go_program(), "build", "-C", str(SOURCE), "-trimpath", "-ldflags=-s -w", "-o", str(program), "."]
        cache.run(argv, timeout=300, env=os.environ | {"CGO_ENABLED": "0"}, way_out="see Go's message above")
        layer = write_layer(folder / "layer.tar", folder, ["echo"])
        write_archive(archive, name, [layer], {"Entrypoint": ["/echo"], "User": "65535:65535"})
    return archive


def _digest() -> str:
    content = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))
    return hashlib.sha256(content).hexdigest()[:12]
