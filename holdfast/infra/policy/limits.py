"""Every container says how much CPU and memory it asks for, and where its limit is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.infra.policy.manifests import Manifest, containers, title


def violations(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A sentence for each request or limit that is missing."""
    for manifest in manifests:
        for container in containers(manifest):
            resources = container.get("resources") or {}
            for key in ("requests", "limits"):
                for resource in ("cpu", "memory"):
                    if not (resources.get(key) or {}).get(resource):
                        yield f"{title(manifest)}: container {container['name']} has no resources.{key}.{resource}"
