"""One JSON line on stdout for each event in the life of a process; never one for a request."""

import sys
import time

import msgspec

from services.common.env import Identity

IDENTITY_FIELDS = ("service", "instance", "color", "version")


def lifecycle_event(identity: Identity, event: str, **details: object) -> None:
    """Print one event with its wall-clock time (s since the epoch) and who says it."""
    who = {name: getattr(identity, name) for name in IDENTITY_FIELDS}
    line = {"at": round(time.time(), 3), "event": event, **who, **details}
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.flush()
