"""The timeline of a run: everything that happened, on one monotonic clock, from several processes.

Times are nanoseconds of CLOCK_MONOTONIC, which all processes of one machine share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from holdfast.durable import LineFile, decoded


class Phase(Enum):
    """What an event says about its span. `info`: the span began and its outcome is not known."""

    POINT = "point"
    START = "start"
    END = "end"
    INFO = "info"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened at `at` (ns, monotonic). Events of one span share `span`."""

    at: int
    name: str
    phase: Phase
    span: str = ""
    data: dict[str, Any] = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A start and its end. `end` is None while the outcome is not known."""

    name: str
    start: int
    end: int | None
    ok: bool | None
    data: dict[str, Any]

    def covers(self, at: int) -> bool:
        """Tell whether `at` lies in the span; a span without an end goes on for ever."""
        return self.start <= at and (self.end is None or at <= self.end)


def now() -> int:
    """The timeline's clock: nanoseconds, monotonic."""
    return time.monotonic_ns()


class Timeline:
    """Writes events to a file and tells each one to listeners (a live display, a log)."""

    def __init__(self, path: Path, *, listeners: tuple[Callable[[Event], None], ...] = ()) -> None:
        self.run = path.parent.name
        self._file = LineFile(path)
        self._listeners = list(listeners)
        self._encode = msgspec.json.Encoder().encode
        self._spans = 0

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Tell `listener` each event from now on."""
        self._listeners.append(listener)

    def point(self, name: str, **data: Any) -> Event:
        """Write an event without a duration."""
        return self._write(Event(at=now(), name=name, phase=Phase.POINT, data=data))

    @contextmanager
    def span(self, name: str, **data: Any) -> Iterator[dict[str, Any]]:
        """Write start, then end with `ok` and whatever the body added to the yielded dict.

        An error in the body is written as `ok: false` with its text, and goes on.
        """
        self._spans += 1
        key = f"{time.time_ns():x}-{self._spans}"
        found: dict[str, Any] = {}
        self._write(Event(at=now(), name=name, phase=Phase.START, span=key, data=data))
        try:
            yield found
        except BaseException as error:
            found.setdefault("error", str(error) or type(error).__name__)
            self._write(Event(at=now(), name=name, phase=Phase.END, span=key, data={**found, "ok": False}))
            raise
        self._write(Event(at=now(), name=name, phase=Phase.END, span=key, data={"ok": True, **found}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Event) -> Event:
        self._file.append(self._encode(event))
        for listener in self._listeners:
            listener(event)
        return event


def read_events(path: Path) -> list[Event]:
    """Read a timeline file in the order of its clock; a torn line is left out; no file is no event."""
    return sorted(decoded(path, msgspec.json.Decoder(Event)), key=lambda event: event.at)


def spans(events: list[Event], name: str) -> list[Span]:
    """Pair starts and ends of the spans called `name`; data of the end is merged over data of the start."""
    ends = {event.span: event for event in events if event.phase is Phase.END}
    found = []
    for event in events:
        if event.phase is not Phase.START or event.name != name:
            continue
        end = ends.get(event.span)
        found.append(
            Span(
                name=name,
                start=event.at,
                end=end.at if end else None,
                ok=bool(end.data.get("ok")) if end else None,
                data={**event.data, **(end.data if end else {})},
            )
        )
    return found


def points(events: list[Event], name: str) -> list[Event]:
    """Return the events without duration called `name`."""
    return [event for event in events if event.phase is Phase.POINT and event.name == name]
