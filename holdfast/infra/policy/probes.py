"""Every container that serves has a readiness and a liveness probe; one that is a color also waits before it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.infra.policy.manifests import Manifest, containers, serves, title

COLOR = "holdfast/color"
LEAST_PRESTOP_S = 5


def violations(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A sentence for each probe, and each preStop sleep of a color, that is missing."""
    for manifest in filter(serves, manifests):
        colored = COLOR in (manifest["metadata"].get("labels") or {})
        for container in containers(manifest, init=False):
            for probe in ("readinessProbe", "livenessProbe"):
                if not container.get(probe):
                    yield f"{title(manifest)}: container {container['name']} has no {probe}"
            hook = (container.get("lifecycle") or {}).get("preStop") or {}
            if colored and (hook.get("sleep") or {}).get("seconds", 0) < LEAST_PRESTOP_S:
                yield f"{title(manifest)}: container {container['name']} ends without a preStop sleep of 5 s or more"
