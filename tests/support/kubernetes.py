"""A real cluster in tests: scripts/cluster, kubectl, and deployments of the reference gateway from holdfast's image."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from support.stack import ROOT

from holdfast.infra.targets.cluster.local.programs import build_tool

Object = dict[str, Any]
PAUSE = "localhost/holdfast-pause:1"
UP_TIMEOUT = 3600  # a cold build of every program, on a machine that does other things too


def run_cluster(*args: str, timeout: float = UP_TIMEOUT) -> subprocess.CompletedProcess[str]:
    """Run scripts/cluster to its end, for our own cluster."""
    argv = [str(ROOT / "scripts" / "cluster"), *args]
    return subprocess.run(argv, env=own_environment(), capture_output=True, text=True, check=False, timeout=timeout)


def own_environment() -> dict[str, str]:
    """The environment without KUBECONFIG: these tests start and end clusters, so never somebody else's."""
    return {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}


def succeed(*args: str, timeout: float = UP_TIMEOUT) -> str:
    """Run scripts/cluster, assert that it ended 0, return its stdout."""
    done = run_cluster(*args, timeout=timeout)
    assert done.returncode == 0, f"scripts/cluster {' '.join(args)} ended {done.returncode}:\n{done.stderr}"
    return done.stdout


def status() -> Object:
    """scripts/cluster status --json."""
    found: Object = json.loads(run_cluster("status", "--json", timeout=60).stdout)
    return found


def until(true: Callable[[], Any], what: str, seconds: float) -> float:
    """Poll a condition five times a second; returns how long it took. Raises AssertionError that says what not."""
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)
    return time.monotonic() - begin


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up."""

    kubeconfig: Path
    namespace: str = "default"

    def kubectl(self, *args: str, given: str = "", timeout: float = 60) -> str:
        """Run kubectl in the namespace, assert that it ended 0, return its stdout."""
        done = self.try_kubectl(*args, given=given, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def try_kubectl(self, *args: str, given: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace."""
        program = build_tool(ROOT, "kubernetes", lambda text: None) / "kubectl"
        argv = [str(program), f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *args]
        return subprocess.run(
            argv, input=given, env=own_environment(), capture_output=True, text=True, check=False, timeout=timeout
        )

    def get(self, *args: str) -> Object:
        """`kubectl get … -o json`."""
        found: Object = json.loads(self.kubectl("get", *args, "--output=json"))
        return found

    def apply(self, *objects: Object) -> None:
        """Server-side apply."""
        self.kubectl("apply", "--server-side", "--filename=-", given=yaml.safe_dump_all(objects))

    def wait_ready(self, deployment: str, seconds: float = 60) -> None:
        """Wait until every replica of a deployment is ready; says the pods' states when not."""
        wait = ["rollout", "status", f"deployment/{deployment}", f"--timeout={seconds:g}s"]
        done = self.try_kubectl(*wait, timeout=seconds + 20)
        if done.returncode:
            raise AssertionError(f"{done.stderr}\n{self.kubectl('describe', 'pods')[-4000:]}")


def gateway(name: str, image: str, *, color: str = "blue", replicas: int = 2) -> Object:
    """A Deployment of the reference gateway: not root, read-only root file system, never pulled."""
    env = {
        "SERVICE_HOST": "0.0.0.0",
        "SERVICE_PORT": "8080",
        "SERVICE_COLOR": color,
        "SERVICE_VERSION": "v1",
        "SERVICE_CONFIG": "/opt/holdfast/release/config.json",
        "ENGINE_ADDRESS": "127.0.0.1:9",
        "ENGINE_AUTHORITY": "engine.internal",
        "REDIS_URL": "redis://127.0.0.1:9/0",
    }
    container = {
        "name": "gateway",
        "image": image,
        "imagePullPolicy": "Never",
        "env": [
            *({"name": key, "value": value} for key, value in env.items()),
            {"name": "SERVICE_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "256Mi"},
        },
        "securityContext": {
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    labels = {"app": "gateway", "color": color}
    return deployment(name, labels, container, replicas)


def deployment(name: str, labels: dict[str, str], container: Object, replicas: int) -> Object:
    """A Deployment of one container."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 5},
            },
        },
    }


def service(name: str, selector: dict[str, str], port: int = 8080) -> Object:
    """A Service with a port of its own."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector, "ports": [{"port": port, "targetPort": 8080}]},
    }
