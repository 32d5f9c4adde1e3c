"""Every object says who answers for it, what it belongs to, and in which environment it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.infra.policy.manifests import Manifest, title

LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/managed-by",
    "holdfast/owner",
    "holdfast/environment",
)


def violations(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A sentence for each label that is missing."""
    for manifest in manifests:
        labels = (manifest.get("metadata") or {}).get("labels") or {}
        for label in LABELS:
            if not labels.get(label):
                yield f"{title(manifest)}: it has no label {label}"
