"""Envoy as the edge of a local stack."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from holdfast.children import poll
from holdfast.durable import replace_file
from holdfast.errors import EnvironmentFailed
from holdfast.infra.probes import http_get
from holdfast.infra.supervisor.unit import Unit, changes_with
from holdfast.infra.targets.local.ports import HOST
from holdfast.infra.wheels import envoy


def envoy_unit(bootstrap: dict[str, Any], path: Path, log: Path) -> Unit:
    """Envoy with this bootstrap; it is started again when the bootstrap has changed, and only then.

    Without --disable-hot-restart two Envoys on one machine fight over a socket name.
    """
    content = json.dumps(bootstrap, indent=1).encode()
    replace_file(path, content)
    return Unit(
        name="edge",
        argv=[str(envoy()), "-c", str(path), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"],
        env={"PATH": "/usr/bin:/bin", **changes_with(content)},
        log=str(log),
        order=1,
        stop_signal=15,
    )


def wait_for_envoy(admin_port: int, *, timeout: float) -> None:
    """Wait until Envoy has its routes and listens."""
    last = ""
    for _ in poll(time.monotonic() + timeout):
        answer = http_get(HOST, admin_port, "/ready")
        if answer.status == 200:
            return
        last = answer.body.strip() or answer.reason
    raise EnvironmentFailed(
        f"Envoy was not ready within {timeout:g} s", because=last, way_out="see `holdfast logs edge`"
    )
