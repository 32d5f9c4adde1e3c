"""The passwords of the stack's stores: made once, in a file that only this user can read."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from holdfast.config import Secret
from holdfast.durable import replace_file
from holdfast.infra.targets.local.state import BEGIN_ANEW, read_state


def kept_secrets(path: Path, names: list[str]) -> dict[str, Secret]:
    """Read the secrets of these names, making those that do not exist yet. Raises Refused when they cannot be read."""
    kept = read_state(path, dict[str, str], way_out=BEGIN_ANEW) or {}
    missing = [name for name in names if name not in kept]
    if missing:
        kept |= {name: secrets.token_urlsafe(24) for name in missing}
        replace_file(path, msgspec.json.encode(kept), mode=0o600)
    return {name: Secret(kept[name]) for name in names}
