"""Build the image: Debian, Python packages, release; three layers, of which a new release makes one small one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.infra.images import cache, rootfs
from holdfast.infra.images.archive import write_archive
from holdfast.infra.images.description import RELEASE, Description
from holdfast.infra.images.layer import Layer, write_layer

Say = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """An image in an archive. `digest` names its content; `name` is NAME:TAG."""

    name: str
    digest: str
    archive: Path

    @property
    def pinned(self) -> str:
        """NAME@DIGEST, which no later image can take."""
        return f"{self.name.rpartition(':')[0]}@{self.digest}"


def build_image(description: Description, release: Path, tag: str, checkout: Path, say: Say) -> Built:
    """Build the image of a release folder (services/, config.json, manifest.json) as `description.name`:`tag`.

    Raises Refused without root, EnvironmentFailed where debootstrap or the package index fails.
    """
    rootfs.refuse_without_root()
    with cache.locked():
        root = rootfs.base_root(description, say)
        layers = [
            rootfs.base_layer(root),
            rootfs.python_layer(description, root, checkout, say),
            release_layer(root, release),
        ]
        name = f"{description.name}:{tag}"
        archive = cache.folder() / f"holdfast-{tag}.tar"
        say(f"writing {name} ({sum(layer.size for layer in layers) // 2**20} MiB)")
        return Built(name, write_archive(archive, name, layers, image_settings(description)), archive)


def release_layer(root: Path, release: Path) -> Layer:
    """The release, compiled, readable by all."""
    target = root / RELEASE
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(release, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    rootfs.compile_bytecode(root, RELEASE)
    return write_layer(root.with_name("release.tar"), root, [RELEASE])


def image_settings(description: Description) -> Mapping[str, Any]:
    """What a container of the image is told unless its pod says otherwise."""
    user = description.user.id
    return {
        "User": f"{user}:{user}",
        "Env": [f"{name}={value}" for name, value in description.env.items()],
        "WorkingDir": "/",
        "Cmd": ["python", "-P", "-m", "services.gateway"],
        "Labels": description.labels,
    }
