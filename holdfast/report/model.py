"""The document `report.json`: what a run did and what the gates say of it.

Fields that end in `_s` are seconds since the start of the run, `_ms` are milliseconds. A figure that was not measured
is null, never 0. New fields may come within `holdfast.report/1`; a field that changes its meaning makes a `/2`.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, field

from holdfast.ledger import Counts
from holdfast.measures import Latencies
from holdfast.run import RunInfo
from holdfast.verdict import Outcome, Verdict

SCHEMA: Final = "holdfast.report/1"


class Ledger(Counts, frozen=True, kw_only=True):
    """The eight numbers. `complete` false: the effects were not read, so lost and duplicated are not known."""

    complete: bool


class NamedRequest(Struct, frozen=True, kw_only=True):
    """A request that went wrong, and what was live while it did.

    `at_s` is its intended start; of an effect that nobody asked for, the moment of the effect as the database gives it.
    `state` is empty for such an effect. `during`: faults, release steps and switches, in words.
    """

    id: str
    route: str
    at_s: float | None
    state: str
    status: int
    color: str
    instance: str
    detail: str
    effects: int
    during: list[str]


class Named(Struct, frozen=True, kw_only=True):
    """Requests by what is wrong with them. The first three are whole; failed and unknown name the first 1,000 each."""

    lost: list[NamedRequest]
    duplicated: list[NamedRequest]
    unexplained: list[NamedRequest]
    failed: list[NamedRequest]
    unknown: list[NamedRequest]


class StepLine(Struct, frozen=True, kw_only=True):
    """A step of an operation. `end_s` and `ok` are null when the step was cut off."""

    op: str
    step: str
    version: str
    start_s: float
    end_s: float | None
    ok: bool | None
    error: str = ""


class SwitchLine(Struct, frozen=True, kw_only=True):
    """One write of the routes; `at_s` is the moment of the write, `from` and `to` map a service to its color.

    `propagation_ms`: from the write to the start of the last request that the old color answered; null when the switch
    did not move the edge's service or had no traffic on one of its sides. `failed` of `requests`: those meant to start
    within 1 s of the write that failed or stayed unknown.
    """

    op: str
    at_s: float
    from_: dict[str, str] = field(name="from")
    to: dict[str, str]
    propagation_ms: float | None
    requests: int
    failed: int


class Release(Struct, frozen=True, kw_only=True):
    """What the release protocol did, in the order of time."""

    steps: list[StepLine]
    switches: list[SwitchLine]


class FaultLine(Struct, frozen=True, kw_only=True):
    """A fault, from injection to its own end. `recovery_s`: how long users felt it, from the injection.

    It is null when no clean second was seen afterwards. `bad`: requests that failed, stayed open or took over 1 s.
    """

    fault: str
    target: str
    start_s: float
    end_s: float | None
    recovery_s: float | None
    bad: int


class PhaseLine(Struct, frozen=True, kw_only=True):
    """A phase of the run. `seconds` and `ok` are null when it was cut off."""

    phase: str
    start_s: float
    seconds: float | None
    ok: bool | None


class RouteLatency(Struct, frozen=True, kw_only=True):
    """Response times of one route (or all), from the intended start; null where there were none."""

    overall: Latencies | None
    outside_faults: Latencies | None


class Latency(Struct, frozen=True, kw_only=True):
    """Response times of the users' traffic. A failed request has an error, not a response time."""

    overall: Latencies | None
    outside_faults: Latencies | None
    routes: dict[str, RouteLatency]


class Stream(Struct, frozen=True, kw_only=True):
    """One load. `rate` is what was asked for, per second; what follows `preview` is null when it did not end in order.

    `lag_p99_ms`: how late requests began. `achieved_ratio`: starts made over starts due. `queued`: never begun.
    """

    stream: str
    profile: str
    rate: float
    preview: bool
    offered: int | None
    lag_p99_ms: float | None
    worst_stall_ms: float | None
    achieved_ratio: float | None
    queued: int | None
    cpu_share_max: float | None


class Generator(Struct, frozen=True, kw_only=True):
    """The health of the load generator: whether the other figures are about the target or about itself."""

    streams: list[Stream]


class Note(Struct, frozen=True, kw_only=True):
    """Something that happened beside the rest: a note, a restart, a drain."""

    at_s: float
    kind: str
    text: str


class Second(Struct, frozen=True, kw_only=True):
    """The users' traffic by the second of its intended start. `colors` counts what succeeded, by answering color.

    `p99_ms` is null when nothing that was meant to start in this second was answered.
    """

    second: int
    offered: int
    acknowledged: int
    accepted: int
    failed: int
    unknown: int
    colors: dict[str, int]
    p99_ms: float | None


class Report(Struct, frozen=True, kw_only=True):
    """The report of a run. `outcome` is the worst of the verdicts; without a verdict it is unknown."""

    schema: Literal["holdfast.report/1"] = SCHEMA
    outcome: Outcome
    exit_code: int
    run: RunInfo
    seconds: float
    ledger: Ledger
    named: Named
    release: Release
    faults: list[FaultLine]
    phases: list[PhaseLine]
    latency: Latency
    generator: Generator
    verdicts: list[Verdict]
    figures: dict[str, float]
    notes: list[Note]
    series: list[Second]
