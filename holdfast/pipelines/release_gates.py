"""How a release is judged before and after its switch: real requests, recorded, then judged by the gates of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from holdfast.infra.edge.routes import PREVIEW, PREVIEW_HEADER
from holdfast.infra.probes import http_get
from holdfast.infra.stack import Stack
from holdfast.infra.target import Placement, Target
from holdfast.ledger import ACKNOWLEDGED, Effect, Request, reconcile
from holdfast.load.gates import ErrorRatio, Latency, NothingLost
from holdfast.load.probe import probe
from holdfast.load.profile import load_profile
from holdfast.run import History, Run, read_history
from holdfast.verdict import Outcome, Verdict, judge_safely

MIN_ANSWERS = 50
"""Fewer answers of a live color than these say nothing about its error ratio."""
LATE_WATCH_S = 2.0


@dataclass
class ReleaseTraffic:
    """The release's own requests. Each probe is a stream of its own in the run's ledger."""

    stack: Stack
    target: Target
    run: Run
    effects: Callable[[str], list[Effect] | None]
    streams: list[str] = field(default_factory=list)

    def offer(self, kind: str, profile: str, seconds: float | None, headers: dict[str, str], url: str = "") -> History:
        """Send a profile's requests (to the edge, where no URL is named) and return what was recorded of them."""
        stream = f"{kind}{sum(name.startswith(kind) for name in self.streams) + 1}-{self.run.info.seed % 1000}"
        wanted = load_profile(profile)
        self.streams.append(stream)
        requests = probe(url or self.target.edge_url(), wanted, self.run, stream, headers, seconds or wanted.seconds)
        return self.history(requests)

    def history(self, requests: Sequence[Request]) -> History:
        """The run's history with these requests only, reconciled with their effects."""
        whole = read_history(self.run.path)
        ids = {request.id for request in requests}
        found = self.effects(f"{self.run.id}-")
        effects = None if found is None else [effect for effect in found if effect.request_id in ids]
        return msgspec.structs.replace(
            whole, requests=list(requests), effects=effects, reconciliation=reconcile(requests, effects)
        )

    def sent(self) -> list[Request]:
        """All requests of the release so far."""
        prefixes = tuple(f"{self.run.id}-{stream}-" for stream in self.streams)
        return [request for request in read_history(self.run.path).requests if request.id.startswith(prefixes)]

    def rules(self) -> list[ErrorRatio | Latency | NothingLost]:
        """The gates with the stack's own limits."""
        rules = self.stack.release
        gates: list[ErrorRatio | Latency | NothingLost] = [
            ErrorRatio(limit=rules.max_error_ratio),
            Latency(limit_ms=rules.max_p99_ms),
        ]
        return [*gates, NothingLost()] if self.stack.effects else gates


@dataclass
class IdleGate:
    """Before the switch: every instance healthy by address, and a load that the idle color must pass by preview."""

    traffic: ReleaseTraffic

    def __call__(self, placement: Placement) -> Sequence[Verdict]:
        """Judge the idle color."""
        traffic, rules = self.traffic, self.traffic.stack.release
        headers = {PREVIEW_HEADER: PREVIEW}
        history = traffic.offer("gate", rules.gate, None, headers, traffic.target.preview_url(placement))
        return [
            healthy(traffic, placement),
            right_color(history, placement.get(traffic.stack.edge.service, "")),
            *(judge_safely(gate, history) for gate in traffic.rules()),
        ]


@dataclass
class LiveWatch:
    """After the switch: synthetic users through the edge, and all answers that an edge counted for the new color."""

    traffic: ReleaseTraffic

    def __call__(self, placement: Placement, share: int = 100) -> Sequence[Verdict]:
        """Judge the live color. Under a small share it takes longer until enough answers are its own."""
        traffic, rules = self.traffic, self.traffic.stack.release
        service = traffic.stack.edge.service
        color = placement.get(service) or traffic.target.live().live(service) or ""
        before = traffic.target.answers(service, color)
        history = traffic.offer("watch", rules.watch, watch_seconds(rules.watch, rules.watch_s, share), {})
        after = traffic.target.answers(service, color)
        counted = (after[0] - before[0], after[1] - before[1]) if before and after else None
        return [
            *([live_errors(counted, color, rules.max_error_ratio)] if counted else []),
            *(judge_safely(gate, history) for gate in traffic.rules()),
        ]


@dataclass
class ReleaseLedger:
    """At the end: all requests of the release against their effects, after everything has come to rest."""

    traffic: ReleaseTraffic

    def __call__(self) -> Sequence[Verdict]:
        """Judge the ledger. A process that went on after a kill has sent nothing yet: it watches a little first."""
        traffic = self.traffic
        if not traffic.stack.effects:
            return [Verdict(gate="ledger", outcome=Outcome.PASS, because="the stack names no effects to compare")]
        if not traffic.streams:
            traffic.offer("watch", traffic.stack.release.watch, LATE_WATCH_S, {})
        return [judge_safely(NothingLost(), traffic.history(traffic.sent()))]


def watch_seconds(profile: str, at_least: float, share: int) -> float:
    """How long to watch so that `share` percent of the profile's rate gives the least number of answers, twice over."""
    rate = load_profile(profile).arrivals.rate
    return max(at_least, 2 * MIN_ANSWERS / (rate * share / 100))


def healthy(traffic: ReleaseTraffic, placement: Placement) -> Verdict:
    """CD-4: health answered, fast, by every instance at its own address."""
    rules = traffic.stack.release.health
    bad = []
    for address in traffic.target.addresses(placement):
        answer = http_get(address.host, address.probe_port, rules.path, timeout=rules.within_s)
        if answer.status != 200:
            bad.append(f"{address.instance}: {answer.status or answer.reason}")
    return Verdict(
        gate="health",
        outcome=Outcome.FAIL if bad else Outcome.PASS,
        because="; ".join(bad) or f"every instance answered {rules.path} within {rules.within_s:g} s",
    )


def right_color(history: History, expected: str) -> Verdict:
    """The preview must have reached the idle color: a gate that tested the live one has proven nothing."""
    answered = [r for r in history.requests if r.state == ACKNOWLEDGED and r.settled]
    wrong = [r.id for r in answered if expected and r.settled and r.settled.color != expected]
    if not answered:
        return Verdict(gate="preview", outcome=Outcome.UNKNOWN, because="the preview answered nothing")
    return Verdict(
        gate="preview",
        outcome=Outcome.UNKNOWN if wrong else Outcome.PASS,
        because=f"{len(wrong)} of {len(answered)} preview answers came from another color"
        if wrong
        else f"{len(answered)} preview answers from {expected or 'the live edge color'}",
        evidence={"wrong": wrong[:20]},
    )


def live_errors(counted: tuple[int, int], color: str, limit: float) -> Verdict:
    """Judge all answers of the live color, users' and ours: `counted` is how many there were and how many were 5xx."""
    answers, errors = counted
    outcome = Outcome.FAIL if answers and errors / answers > limit else Outcome.PASS
    if answers < MIN_ANSWERS:
        outcome = max(outcome, Outcome.UNKNOWN, key=lambda one: one.rank)
    return Verdict(
        gate="live-errors",
        outcome=outcome,
        because=f"{errors} of {answers} answers that the edge counted for {color} were 5xx (limit {limit:.2%})",
        evidence={"answers": answers, "errors": errors},
    )
