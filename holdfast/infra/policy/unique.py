"""No two objects have one name: the second would silently be the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.infra.policy.manifests import Manifest, title


def violations(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A sentence for each object whose name is taken."""
    seen: set[tuple[str, str]] = set()
    for manifest in manifests:
        key = (str(manifest.get("apiVersion")), title(manifest))
        if key in seen:
            yield f"{title(manifest)}: another object has that name"
        seen.add(key)
