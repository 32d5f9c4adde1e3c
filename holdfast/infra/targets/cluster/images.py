"""A release on a cluster is an image: one that somebody names, or one built from the release for our own cluster.

The reference is kept in the home by the release's digest, so that no later image of that name can take its place.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from holdfast.content import content_root
from holdfast.durable import replace_file
from holdfast.errors import Refused
from holdfast.infra.home import Home
from holdfast.infra.release import Release
from holdfast.infra.targets.local.state import BEGIN_ANEW, read_state

Say = Callable[[str], None]


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image. `built`: from the release, by us; then the release says how its services are started."""

    reference: str
    built: bool = False


def known(home: Home, release: Release) -> Image | None:
    """The image of a release; None before it has one."""
    return _all(home).get(release.digest)


def keep(home: Home, release: Release, image: Image) -> None:
    """Remember the image of a release."""
    replace_file(_file(home), msgspec.json.encode({**_all(home), release.digest: image}))


def require(home: Home, release: Release) -> Image:
    """The image of a release. Raises Refused when it has none."""
    image = known(home, release)
    if image is None:
        raise Refused(
            f"release {release.version} has no image",
            because="on a cluster a release is an image, and none is known for this one",
            way_out=f"holdfast release build {release.version} --target cluster   for a cluster of scripts/cluster, "
            "or with --image REGISTRY/NAME@sha256:… for one that you have pushed",
        )
    return image


def build(home: Home, release: Release, say: Say) -> Image:
    """Build the image of a release and load it into our own cluster. Raises Refused without one."""
    from holdfast.infra.images.build import build_image
    from holdfast.infra.images.description import load_description
    from holdfast.infra.targets.cluster.local import images, programs, state
    from holdfast.infra.targets.cluster.local.layout import default_layout

    current = state.load(default_layout())
    if current is None or not current.alive():
        raise Refused(
            f"the image of release {release.version} cannot be put into the cluster",
            because="images are loaded without a registry into a cluster of scripts/cluster only, and none is up",
            way_out=f"push an image to a registry of yours, then holdfast release build {release.version} "
            "--target cluster --image REGISTRY/NAME@sha256:…",
        )
    programs.install_debian({"debootstrap": "debootstrap", "unshare": "util-linux"}, say)
    built = build_image(load_description(), Path(release.path), release.version, content_root(), say)
    images.load(current.init, built)
    image = Image(reference=built.pinned, built=True)
    keep(home, release, image)
    return image


def _all(home: Home) -> dict[str, Image]:
    return read_state(_file(home), dict[str, Image], way_out=BEGIN_ANEW) or {}


def _file(home: Home) -> Path:
    return home.state / "images.json"
