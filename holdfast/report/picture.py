"""The timeline picture: where everything goes. A pure layout of a report; `templates/picture.svg.j2` draws it.

x is seconds. From above: flags of the switches, lanes of phases, release steps and faults, the traffic of each second
by color, marks of what went wrong, and the p99 of each second on a logarithmic scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from math import ceil, floor, log10

from holdfast.report.model import NamedRequest, Report, StepLine, SwitchLine
from holdfast.report.shapes import (
    CHARACTER,
    WIDTH,
    Bin,
    Box,
    Flag,
    Label,
    Mark,
    Path,
    Picture,
    bins,
    fitting,
    hue,
    pack,
    round_up,
)
from holdfast.report.words import RECONCILED, milliseconds, move, number, passed, seconds

LEFT = 106.0
RIGHT = WIDTH - 14.0
MOST_FLAGS = 40
"""More switches are drawn as ticks in a row of their own: lines through all lanes would hide them."""
TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


class Layout:
    """Places lane after lane, from above."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.picture = Picture()
        self.bins = bins(report.series)
        last = self.bins[-1].start + self.bins[-1].size if self.bins else 0
        self.end = max(report.seconds, float(last), 1.0)
        self.y = 8.0

    def draw(self) -> Picture:
        """All lanes."""
        self._flags()
        self.picture.top = self.y
        self._phases()
        self._operations()
        self._faults()
        charts = self.y
        if self.bins:
            self._traffic()
            self._wrong()
            self._p99()
        self.picture.bottom = self.y
        self._shades(charts)
        self._axis()
        self.picture.height = self.y
        return self.picture

    def x(self, at: float) -> float:
        """The place of a second."""
        return LEFT + (RIGHT - LEFT) * min(max(at, 0.0), self.end) / self.end

    # -- lanes of spans --------------------------------------------------------------------------------------------

    def _flags(self) -> None:
        switches = sorted(self.report.release.switches, key=lambda each: each.at_s)
        if not switches:
            return
        self._label("Switches", 14)
        dense, free = len(switches) > MOST_FLAGS, 0.0
        for switch in switches:
            x, label = self.x(switch.at_s), move(switch)
            half = len(label) * CHARACTER / 2
            label_x = min(max(x, LEFT + half), RIGHT - half)
            fits = not dense and label_x - half >= free
            if fits:
                free = label_x + half + 8
            kind = hue(next(iter(switch.to.values()), ""))
            self.picture.flags.append(Flag(x, dense, kind, _switch_title(switch), label if fits else "", label_x))
        if dense:
            self.picture.labels.append(Label(0, self.y + 27, f"{number(len(switches))} of them", "start", "unit"))
        self.y += 34 if dense else 24

    def _phases(self) -> None:
        if not self.report.phases:
            return
        self._label("Phases", 15)
        for k, phase in enumerate(self.report.phases):
            end = self.end if phase.seconds is None else phase.start_s + phase.seconds
            title = f"{phase.phase}: {seconds(phase.seconds)} s from {seconds(phase.start_s)} s, {passed(phase.ok)}"
            kind = {True: ("phase", "phase alternate")[k % 2], False: "failed", None: "cut"}[phase.ok]
            self._box(phase.start_s, end, 22, kind, title, phase.phase)
        self.y += 22 + 8

    def _operations(self) -> None:
        operations = [list(steps) for _, steps in groupby(self.report.release.steps, key=lambda step: step.op)]
        if not operations:
            return
        self._label("Release", 15)
        free = [(steps[0].start_s, self._ends(steps)) for steps in operations]
        top, rows = self.y, pack(free)
        for steps, row, (start, end) in zip(operations, rows, free, strict=True):
            self.y = top + row * 36
            fine = all(step.ok for step in steps)
            title = f"{steps[0].op}: {seconds(end - start)} s from {seconds(start)} s"
            self._box(start, end, 20, "operation" if fine else "operation bad", title, steps[0].op)
            self.y += 22
            for k, step in enumerate(steps):
                self._box(step.start_s, self._end(step), 8, _step_kind(step, k), _step_title(step), "")
        self.y = top + (max(rows) + 1) * 36 + 2

    def _faults(self) -> None:
        faults = self.report.faults
        if not faults:
            return
        self._label("Faults", 15)
        top = self.y
        rows = pack([(f.start_s, self.end if f.end_s is None else f.end_s) for f in faults])
        for fault, row in zip(faults, rows, strict=True):
            self.y = top + row * 24
            end = self.end if fault.end_s is None else fault.end_s
            felt = "recovery not seen" if fault.recovery_s is None else f"felt for {seconds(fault.recovery_s)} s"
            name = f"{fault.fault} {fault.target}".strip()
            title = f"{name}: {seconds(end - fault.start_s)} s from {seconds(fault.start_s)} s, {felt}"
            self._box(fault.start_s, end, 20, "fault", title, name, beside=True)
        self.y = top + (max(rows) + 1) * 24 + 4

    # -- charts ----------------------------------------------------------------------------------------------------

    def _traffic(self) -> None:
        height, top = 132.0, self.y + 6
        most = round_up(max(each.offered / each.size for each in self.bins))
        self._label("Requests", 12 + 6)
        self.picture.labels.append(Label(0, top + 26, "per second", "start", "unit"))
        for value in (0.0, most / 2, most):
            self._rule(top + height * (1 - value / most), number(value) if value == int(value) else f"{value:g}")
        stacks: dict[str, list[str]] = {}
        for each in self.bins:
            x, width, y = self._bar(each), self._bar_width(each), top + height
            for kind, part in each.parts.items():
                if part:
                    tall = height * part / each.size / most
                    y -= tall
                    stacks.setdefault(kind, []).append(f"M{x:.2f} {y:.2f}h{width:.2f}v{tall:.2f}h-{width:.2f}z")
        self.picture.paths += [Path(f"fill {kind}", "".join(parts)) for kind, parts in stacks.items()]
        self.y = top + height + 12

    def _wrong(self) -> None:
        rows = [(kind, [(b.start, b.parts.get(kind, 0)) for b in self.bins]) for kind in ("failed", "unknown")]
        rows += [(kind, self._by_bin(getattr(self.report.named, kind))) for kind in RECONCILED]
        rows = [(kind, counts) for kind, counts in rows if any(count for _, count in counts)]
        ledger, size = self.report.ledger, self.bins[0].size
        for kind, counts in rows:
            self.picture.labels.append(Label(LEFT - 8, self.y + 11, kind, "end", f"row {kind}"))
            self.picture.grid.append(Path("faint", f"M{LEFT} {self.y + 7:.1f}H{RIGHT}"))
            for start, count in counts:
                if count:
                    x, radius = self.x(start + size / 2), min(3.0 + count**0.5 / 2, 6.0)
                    title = f"{number(count)} {kind} in second {_seconds_of(start, size)}"
                    self.picture.marks.append(Mark(x, self.y + 7, radius, kind, title))
            self.y += 16
        if not any((ledger.failed, ledger.unknown, ledger.lost, ledger.duplicated, ledger.unexplained)):
            text = "nothing failed, nothing lost, nothing twice" if ledger.complete else "no request failed"
            self.picture.labels.append(Label(LEFT + 4, self.y + 10, text, "start", "calm"))
            self.picture.labels.append(Label(0, self.y + 10, "Errors", "start", "lane"))
            self.y += 16
        self.y += 6

    def _p99(self) -> None:
        height, top = 96.0, self.y + 6
        times = [each.p99_ms for each in self.bins if each.p99_ms]
        if not times:
            return
        limit = self._limit()
        wanted = [*times, *([limit] if limit else [])]
        low, high = floor(log10(min(wanted))), ceil(log10(max(wanted)))
        high = max(high, low + 1)

        def place(value: float) -> float:
            return top + height * (1 - (log10(max(value, 10.0**low)) - low) / (high - low))

        self._label("p99", 12 + 6)
        self.picture.labels.append(Label(0, top + 26, "intended", "start", "unit"))
        self.picture.labels.append(Label(0, top + 39, "start", "start", "unit"))
        for decade in range(low, high + 1):
            value = 10.0**decade
            self._rule(place(value), f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms")
        if limit:
            y = place(limit)
            self.picture.grid.append(Path("limit", f"M{LEFT} {y:.1f}H{RIGHT}"))
            self.picture.labels.append(Label(LEFT + 4, y - 5, f"limit {limit:g} ms", "start", "limit"))
        points = [(self.x(b.start + b.size / 2), b.p99_ms) for b in self.bins]
        line = "".join(
            f"{'L' if k and points[k - 1][1] else 'M'}{x:.1f} {place(p99):.1f}"
            for k, (x, p99) in enumerate(points)
            if p99
        )
        self.picture.paths.append(Path("line", line))
        self.y = top + height + 4

    def _shades(self, charts: float) -> None:
        """Faults are felt in the charts below; each bar of the charts has a tooltip."""
        if not self.bins:
            return
        height = self.picture.bottom - charts
        for fault in self.report.faults:
            end = max(fault.end_s or self.end, fault.start_s + (fault.recovery_s or 0.0))
            x = self.x(fault.start_s)
            self.picture.shades.append(Box(x, charts, max(self.x(end) - x, 1.5), height, "shade"))
        for each in self.bins:
            x, wide = self.x(each.start), self.x(each.start + each.size) - self.x(each.start)
            self.picture.hovers.append(Box(x, charts, wide, height, "hover", _said(each)))

    def _axis(self) -> None:
        step = next((each for each in TIMES if self.end / each <= 14), TIMES[-1])
        self.y += 16
        for k in range(floor(self.end / step) + 1):
            x = self.x(k * step)
            self.picture.labels.append(Label(x, self.y, number(k * step), "middle"))
            self.picture.grid.append(Path("faint", f"M{x:.1f} {self.picture.top:.1f}V{self.picture.bottom:.1f}"))
        self.picture.labels.append(Label(RIGHT, self.y + 15, "seconds since the start of the run", "end", "unit"))
        self.y += 22

    # -- small parts -----------------------------------------------------------------------------------------------

    def _label(self, text: str, down: float) -> None:
        self.picture.labels.append(Label(0, self.y + down, text, "start", "lane"))

    def _rule(self, y: float, text: str) -> None:
        self.picture.grid.append(Path("rule", f"M{LEFT} {y:.1f}H{RIGHT}"))
        self.picture.labels.append(Label(LEFT - 8, y + 3.5, text))

    def _box(
        self, start: float, end: float, height: float, kind: str, title: str, label: str, *, beside: bool = False
    ) -> None:
        x = self.x(start)
        width = max(self.x(end) - x - 1, 1.5)
        shown = fitting(label, width - 10)
        self.picture.boxes.append(Box(x, self.y, width, height, kind, title, shown))
        if beside and shown != label:
            self.picture.boxes[-1] = Box(x, self.y, width, height, kind, title)
            after = x + width + 6
            on_the_left = after + len(label) * CHARACTER > RIGHT
            anchor, at = ("end", x - 6) if on_the_left else ("start", after)
            self.picture.labels.append(Label(at, self.y + height / 2 + 4, label, anchor, "beside"))

    def _bar(self, each: Bin) -> float:
        return self.x(each.start) + 0.4

    def _bar_width(self, each: Bin) -> float:
        return max(self.x(each.start + each.size) - self.x(each.start) - 0.8, 0.6)

    def _by_bin(self, requests: Iterable[NamedRequest]) -> list[tuple[int, int]]:
        """How many of these fall on each bar, those of an unknown time left out."""
        first, size = self.bins[0].start, self.bins[0].size
        counts: dict[int, int] = {}
        for request in requests:
            if request.at_s is not None:
                start = first + floor((request.at_s - first) / size) * size
                counts[start] = counts.get(start, 0) + 1
        return sorted(counts.items())

    def _end(self, step: StepLine) -> float:
        return self.end if step.end_s is None else step.end_s

    def _ends(self, steps: Sequence[StepLine]) -> float:
        return max(self._end(step) for step in steps)

    def _limit(self) -> float | None:
        """The latency gate's limit, when there was one."""
        for verdict in self.report.verdicts:
            limit = verdict.evidence.get("limit_ms")
            if verdict.gate == "latency" and isinstance(limit, int | float) and limit > 0:
                return float(limit)
        return None


def layout(report: Report) -> Picture:
    """Lay the picture of a report out."""
    return Layout(report).draw()


def _switch_title(switch: SwitchLine) -> str:
    felt = "" if switch.propagation_ms is None else f", propagation {milliseconds(switch.propagation_ms)} ms"
    return f"{seconds(switch.at_s)} s: {switch.op}: {move(switch)}{felt}, {number(switch.failed)} failed around it"


def _step_kind(step: StepLine, k: int) -> str:
    if step.ok is not True:
        return "step failed" if step.ok is False else "step cut"
    if step.step.startswith("undo "):
        return "step undo"
    return "step switch" if step.step == "switch" else ("step", "step alternate")[k % 2]


def _step_title(step: StepLine) -> str:
    took = None if step.end_s is None else step.end_s - step.start_s
    said = f"{step.op}: {step.step}: {seconds(took)} s from {seconds(step.start_s)} s, {passed(step.ok)}"
    return f"{said}: {step.error}" if step.error else said


def _said(each: Bin) -> str:
    parts = ", ".join(f"{number(count)} {kind}" for kind, count in each.parts.items() if count) or "no requests"
    return f"second {_seconds_of(each.start, each.size)}: {parts}; p99 {milliseconds(each.p99_ms)} ms"


def _seconds_of(start: int, size: int) -> str:
    return str(start) if size == 1 else f"{start} to {start + size - 1}"
