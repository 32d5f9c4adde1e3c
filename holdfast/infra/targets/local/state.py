"""The JSON files in HOME/state: read typed, and one refusal that names the file when one cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from holdfast.errors import Refused

T = TypeVar("T")
BEGIN_ANEW = "bring the file back, or begin anew: holdfast down --data, then holdfast up"


def read_state(path: Path, kind: type[T], *, way_out: str) -> T | None:
    """Read a file of the stack's state; None when there is none. Raises Refused when it holds anything but `kind`."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), way_out) from error
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(path, f"{error}; something else than holdfast has changed it", way_out) from error


def _unreadable(path: Path, because: str, way_out: str) -> Refused:
    return Refused(f"the state file {path} cannot be read", because=because, way_out=way_out)
