"""What a picture is made of, and the arithmetic of laying it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10

from holdfast.report.model import Second

WIDTH = 1160.0
MOST_BINS = 240
"""A longer run is drawn with several seconds a bar."""
CHARACTER = 6.3
"""The width of a character at 11 px in the widest common sans-serif; a label that would not fit is cut or left out."""
COLORS = ("blue", "green", "other")


@dataclass(frozen=True)
class Box:
    """A rectangle with a tooltip, and a label where it fits."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str = ""
    label: str = ""


@dataclass(frozen=True)
class Mark:
    """A dot; its radius grows with the count."""

    x: float
    y: float
    radius: float
    kind: str
    title: str


@dataclass(frozen=True)
class Flag:
    """A switch: a line through all lanes (`tick`: in its own row only), and what it moved where there is room."""

    x: float
    tick: bool
    kind: str
    title: str
    label: str
    label_x: float


@dataclass(frozen=True)
class Label:
    """Text at a place. `anchor` as in SVG."""

    x: float
    y: float
    text: str
    anchor: str = "end"
    kind: str = "tick"


@dataclass(frozen=True)
class Path:
    """An SVG path."""

    kind: str
    d: str


@dataclass
class Picture:
    """What is to be drawn, from back to front."""

    height: float = 0.0
    top: float = 0.0
    bottom: float = 0.0
    shades: list[Box] = field(default_factory=list)
    grid: list[Path] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    hovers: list[Box] = field(default_factory=list)
    width: float = WIDTH


@dataclass(frozen=True)
class Bin:
    """One bar: one second, or several of a long run."""

    start: int
    size: int
    parts: dict[str, int]
    p99_ms: float | None

    @property
    def offered(self) -> int:
        """All requests."""
        return sum(self.parts.values())


def bins(series: Sequence[Second]) -> list[Bin]:
    """Seconds as bars, several seconds a bar where there are more than 240; the p99 of a bar is its worst second's."""
    size = max(ceil(len(series) / MOST_BINS), 1)
    return [_bin(series[k : k + size], size) for k in range(0, len(series), size)]


def _bin(group: Sequence[Second], size: int) -> Bin:
    parts = dict.fromkeys((*COLORS, "unknown", "failed"), 0)
    for second in group:
        for color, requests in second.colors.items():
            parts[hue(color)] += requests
        parts["unknown"] += second.unknown
        parts["failed"] += second.failed
    return Bin(group[0].second, size, parts, max((s.p99_ms for s in group if s.p99_ms is not None), default=None))


def pack(intervals: Sequence[tuple[float, float]]) -> list[int]:
    """Give each interval the first row in which it overlaps no other."""
    free: list[float] = []
    rows = []
    for start, end in intervals:
        row = next((k for k, until in enumerate(free) if until <= start), len(free))
        free[row:] = [end, *free[row + 1 :]]
        rows.append(row)
    return rows


def fitting(text: str, width: float) -> str:
    """The text, cut where it would be wider than `width` px; nothing where less than four characters would be left."""
    room = int(width / CHARACTER)
    if len(text) <= room:
        return text
    return f"{text[: room - 1].rstrip()}…" if room > 4 else ""


def round_up(value: float) -> float:
    """The end of a scale: the next of 1, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten."""
    power = 10.0 ** floor(log10(value)) if value > 0 else 1.0
    return next(power * factor for factor in (1, 2, 2.5, 3, 4, 5, 6, 8, 10) if power * factor >= value * (1 - 1e-9))


def hue(color: str) -> str:
    """The kind under which a color is drawn."""
    return color if color in COLORS else "other"
