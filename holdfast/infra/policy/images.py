"""Every image is named exactly: by a tag that is not `latest`, or by digest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.infra.policy.manifests import Manifest, containers, title


def violations(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A sentence for each image that may be another one tomorrow."""
    for manifest in manifests:
        for container in containers(manifest):
            image = str(container.get("image") or "")
            if not exact(image):
                yield f"{title(manifest)}: container {container['name']} has the image {image or 'nothing'}: name a tag"


def exact(image: str) -> bool:
    """Whether an image's name says which one it is."""
    if "@sha256:" in image:
        return True
    _, _, tag = image.rpartition("/")[2].partition(":")
    return bool(tag) and tag != "latest" and "{" not in tag
