"""Server-sent events (WHATWG HTML, section 9.2), numbered from 1; `done` is the last."""

from dataclasses import dataclass
from typing import Any

import msgspec

TOKEN, DONE, ERROR = "token", "done", "error"
HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
# Told to a client that shall come back at once, to whatever serves now.
MOVE = b"retry: 50\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `data` is JSON on one line."""

    number: int
    kind: str
    data: bytes

    def encoded(self) -> bytes:
        """As it is sent."""
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.number, self.kind.encode(), self.data)


def event(number: int, kind: str, **data: Any) -> Event:
    """An event with `data` as its JSON object."""
    return Event(number, kind, msgspec.json.encode(data))


def failed(code: str, message: str) -> bytes:
    """The end of a stream that fails after its start. It has no id: a resume asks for this place again."""
    return b"event: %s\ndata: %s\n\n" % (ERROR.encode(), msgspec.json.encode({"code": code, "message": message}))
