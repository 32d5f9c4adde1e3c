"""What the host asks the API server: is it ready, is the node ready; by HTTPS with the administrator's certificate."""

from __future__ import annotations

import ssl
import time
from typing import Any

import httpx

from holdfast.children import poll
from holdfast.errors import EnvironmentFailed
from holdfast.infra.targets.cluster.local.layout import API_URL, DNS_READY_PORT, NODE, NODE_ADDRESS, Layout

READY = "/readyz"
NODE_PATH = f"/api/v1/nodes/{NODE}"
METRICS_PATH = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"


def get(layout: Layout, path: str) -> httpx.Response | None:
    """One GET, 2 s at most; None when nobody answers."""
    try:
        context = ssl.create_default_context(cafile=layout.pki / "ca.crt")
        context.load_cert_chain(layout.pki / "admin.crt", layout.pki / "admin.key")
        with httpx.Client(verify=context, base_url=API_URL, timeout=2.0, trust_env=False) as client:
            return client.get(path)
    except (httpx.HTTPError, OSError):
        return None


def api_is_ready(layout: Layout) -> bool:
    """Whether the API server says that it is ready."""
    answer = get(layout, READY)
    return answer is not None and answer.status_code == httpx.codes.OK


def has_condition(layout: Layout, path: str, kind: str) -> bool:
    """Whether the object at `path` has the condition `kind` (Ready, Available…) with status True."""
    answer = get(layout, path)
    if answer is None or answer.status_code != httpx.codes.OK:
        return False
    conditions: list[dict[str, Any]] = answer.json().get("status", {}).get("conditions", [])
    return any(found["type"] == kind and found["status"] == "True" for found in conditions)


def dns_is_ready() -> bool:
    """Whether CoreDNS has read the cluster's names."""
    try:
        url = f"http://{NODE_ADDRESS}:{DNS_READY_PORT}/ready"
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def wait_for_dns(layout: Layout, *, timeout: float) -> None:
    """Wait until names can be resolved. Raises EnvironmentFailed."""
    for _ in poll(time.monotonic() + timeout, every=0.1):
        if dns_is_ready():
            return
    raise _late("DNS was not ready", timeout, layout, "coredns")


def wait_for_api(layout: Layout, *, timeout: float) -> None:
    """Wait until the API server is ready. Raises EnvironmentFailed."""
    for _ in poll(time.monotonic() + timeout, every=0.1):
        if api_is_ready(layout):
            return
    raise _late("the API server was not ready", timeout, layout, "kube-apiserver")


def wait_for(layout: Layout, path: str, kind: str, component: str, *, timeout: float) -> None:
    """Wait until the object at `path` has a condition. Raises EnvironmentFailed that names the component's log."""
    for _ in poll(time.monotonic() + timeout, every=0.2):
        if has_condition(layout, path, kind):
            return
    raise _late(f"{path.rsplit('/', 1)[-1]} was not {kind.lower()}", timeout, layout, component)


def ended(layout: Layout, component: str) -> EnvironmentFailed:
    """The error for a component that ended by itself."""
    return _failed(f"{component} has ended", layout, component)


def _late(what: str, timeout: float, layout: Layout, component: str) -> EnvironmentFailed:
    return _failed(f"{what} within {timeout:g} s", layout, component)


def _failed(what: str, layout: Layout, component: str) -> EnvironmentFailed:
    log = layout.logs / f"{component}.log"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return EnvironmentFailed(
        what,
        because=lines[-1] if lines else f"{component} has written nothing",
        way_out=f"see {log}, then run scripts/cluster up again",
    )
