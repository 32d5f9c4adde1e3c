"""The product of a command on stdout: text, or one JSON document."""

from __future__ import annotations

import sys
import time
from typing import Any

import msgspec


def print_json(value: Any) -> None:
    """Print one JSON document."""
    data = msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2)
    sys.stdout.write(data.decode() + "\n")


def clock(at: float) -> str:
    """Unix seconds as local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
