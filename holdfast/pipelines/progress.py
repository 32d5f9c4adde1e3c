"""Progress on stderr: one line an event; on a terminal also a line that lives, with what is going on now."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from holdfast.timeline import Event, Phase

if TYPE_CHECKING:
    from rich.status import Status

LINE_SPANS = ("phase", "step", "fault")
WAITING_SHOWN = 3


class Progress:
    """Listens to a timeline. Use it as a context, so that the terminal is put back in order."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live: Status | None = None
        self._began: dict[str, Event] = {}
        self._start = time.monotonic()

    def __enter__(self) -> Progress:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console

            self._live = Console(stderr=True).status("starting")
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if self._quiet:
            return
        if event.phase is Phase.START:
            self._began[event.span] = event
        if self._live and (now := _now(event)):
            self._live.update(now)
        text = self._line(event)
        if text:
            self._print(f"{time.monotonic() - self._start:7.1f} s  {text}")

    def _line(self, event: Event) -> str:
        if event.phase is Phase.POINT:
            return _point(event)
        began = self._began.get(event.span)
        if event.phase is not Phase.END or began is None or event.name not in LINE_SPANS:
            return ""
        seconds = (event.at - began.at) / 1e9
        error = str(event.data.get("error", "")).partition("\n")[0]
        mark = "ok" if event.data.get("ok") else "FAILED"
        return f"{_label(began.name, began.data)}: {mark} after {seconds:.1f} s{' — ' + error if error else ''}"

    def _print(self, text: str) -> None:
        if self._live:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)


def _now(event: Event) -> str:
    """What goes on from this event on; empty where it says nothing of that."""
    if event.phase is Phase.START and event.name in LINE_SPANS:
        return _label(event.name, event.data)
    if event.name == "pulumi.begin":
        return f"  {event.data['op']} {event.data['object']}"
    if event.name == "waiting":
        return f"  waits until {len(event.data['objects'])} are ready"
    return ""


def _label(name: str, data: dict[str, Any]) -> str:
    if name == "step":
        return f"  {data.get('op')} · {data.get('step')}"
    if name == "fault":
        return f"  fault {data.get('fault')} on {data.get('target')}"
    return str(data.get("phase", name))


def _point(event: Event) -> str:
    data = event.data
    if event.name == "switch":
        moved = ", ".join(f"{service} → {color}" for service, color in data["to"].items())
        return f"  switch: {moved}"
    if event.name == "verdict":
        return f"  {data['outcome']:7} {data['gate']}: {data['because']}"
    if event.name == "note":
        return f"  {data['text']}"
    if event.name == "propagated":
        return f"  the edge answers from the new routes after {data['ms']:.1f} ms"
    if event.name == "pulumi.done":
        return "" if data.get("planned") else f"  {data['op']} {data['object']}"
    if event.name == "pulumi.failed":
        return f"  {data['op']} {data['object']}: FAILED"
    if event.name == "waiting":
        first = "; ".join(data["objects"][:WAITING_SHOWN])
        more = len(data["objects"]) - WAITING_SHOWN
        return f"  waits for {first}{f'; and {more} more' if more > 0 else ''}"
    if event.name == "drained":
        return f"  drained, {data['leftovers']} left in flight"
    return ""
