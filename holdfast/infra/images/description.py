"""What an image holds: infra/images/image.yaml, typed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from holdfast.config import convert, read_yaml
from holdfast.content import content_root

LIB = "opt/holdfast/lib"
"""Where the Python packages lie in the image."""
BIN = "opt/holdfast/bin"
RELEASE = "opt/holdfast/release"
"""Where the release lies: its services, config.json and manifest.json."""


class User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who runs in the image; `id` is the uid and the gid."""

    name: str
    id: int


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image. Paths of `remove` are relative to the root; `programs`: name in /opt/holdfast/bin to its target."""

    name: str
    debian: str
    packages: list[str]
    remove: list[str]
    python: str
    user: User
    env: dict[str, str]
    programs: dict[str, str]
    labels: dict[str, str]


def load_description(path: Path | None = None) -> Description:
    """Read the description. Raises UsageError with the path of a wrong key."""
    found = path or content_root() / "infra" / "images" / "image.yaml"
    return convert(read_yaml(found), Description, f"{found}:")
