"""etcd, API server and controller manager on this machine, without nodes: objects are accepted, checked and counted.

For tests of what the API server answers. KUBECONFIG, when set, names a cluster to use instead.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import yaml
from support.stack import ROOT

from holdfast.infra.targets.cluster.local.certificates import service_account_files
from holdfast.infra.targets.cluster.local.programs import build_tool

TOKEN = "tests-only"
START_S = 60.0


@contextmanager
def control_plane(folder: Path) -> Iterator[Path]:
    """Start it and yield the path of a kubeconfig; all processes end with the block."""
    if os.environ.get("KUBECONFIG"):
        yield Path(os.environ["KUBECONFIG"])
        return
    etcd = build_tool(ROOT, "etcd", print) / "v3"
    kubernetes = build_tool(ROOT, "kubernetes", print)
    client, peer, api, manager = (_free_port() for _ in range(4))
    for name, content in service_account_files().items():
        (folder / name).write_bytes(content)
    (folder / "tokens.csv").write_text(f"{TOKEN},tests,tests,system:masters\n")
    server = f"https://127.0.0.1:{api}"
    kubeconfig = _kubeconfig(folder, server)
    with ExitStack() as running:
        running.enter_context(_process(folder, _etcd(etcd, folder, client, peer)))
        running.enter_context(_process(folder, _api_server(kubernetes, folder, client, api)))
        _wait(server)
        running.enter_context(_process(folder, _manager(kubernetes, folder, kubeconfig, manager)))
        yield kubeconfig


def _etcd(program: Path, folder: Path, client: int, peer: int) -> list[str]:
    return [
        str(program),
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
        "--log-level=error",
    ]


def _api_server(programs: Path, folder: Path, etcd: int, port: int) -> list[str]:
    return [
        str(programs / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--cert-dir={folder}/certificates",
        f"--token-auth-file={folder}/tokens.csv",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder}/service-account.pub",
        f"--service-account-signing-key-file={folder}/service-account.key",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--authorization-mode=RBAC",
        "--endpoint-reconciler-type=none",
    ]


def _manager(programs: Path, folder: Path, kubeconfig: Path, port: int) -> list[str]:
    return [
        str(programs / "kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={folder}/service-account.key",
        "--leader-elect=false",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder}/certificates",
    ]


def _kubeconfig(folder: Path, server: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": "tests",
                        "cluster": {
                            "server": server,
                            "certificate-authority": f"{folder}/certificates/apiserver.crt",
                        },
                    }
                ],
                "users": [{"name": "tests", "user": {"token": TOKEN}}],
                "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
                "current-context": "tests",
            }
        )
    )
    return path


@contextmanager
def _process(folder: Path, argv: list[str]) -> Iterator[None]:
    """A process with a log of its own, ended with the block."""
    with (folder / f"{Path(argv[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: str) -> None:
    end = time.monotonic() + START_S
    with httpx.Client(verify=False, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as http:  # noqa: S501
        while time.monotonic() < end:
            try:
                if http.get(f"{server}/readyz").is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    raise AssertionError(f"no API server at {server} within {START_S:g} s; its log is beside its data")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
