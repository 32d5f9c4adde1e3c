"""The clients of a stack on a cluster, by how they connect: each kind is a stream of one run, all at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench._cluster import Kind
from bench._h2 import start_h2

from holdfast.load.arrivals import Constant
from holdfast.load.plan import LoadPlan
from holdfast.load.process import LoadProcess
from holdfast.load.profile import Connections, HttpRoute, Profile, Route, SseRoute
from holdfast.run import Run

BODY = {"message": "question {n}"}
CHAT = {"method": "POST", "body": BODY, "idempotency_key": True, "effect": True}
CALLS: dict[str, Route] = {
    "whoami": HttpRoute(path="/v1/whoami", weight=80),
    "chat": HttpRoute(path="/v1/chat", weight=20, **CHAT),  # type: ignore[arg-type] # keywords of several types
}
STREAMS: dict[str, Route] = {"stream": SseRoute(path="/v1/chat/stream", **CHAT)}  # type: ignore[arg-type] # as above


@dataclass(frozen=True)
class Population:
    """Clients of one kind: their share of all requests, and how they connect."""

    share: float
    mix: dict[str, Route]
    fresh: float = 0.0
    h2: bool = False


Populations = dict[str, Population]
NEW, KEPT, H2, SSE = "new", "kept", "h2", "sse"
CLIENTS: dict[Kind, Populations] = {
    "edge": {
        NEW: Population(0.35, CALLS, fresh=1.0),
        KEPT: Population(0.3, CALLS),
        H2: Population(0.25, CALLS, h2=True),
        SSE: Population(0.1, STREAMS),
    },
    "selector": {
        NEW: Population(0.45, CALLS, fresh=1.0),
        KEPT: Population(0.45, CALLS),
        SSE: Population(0.1, STREAMS),
    },
}
"""Behind a selector clients speak to the gateway itself, which speaks HTTP/1.1: there is no HTTP/2 to measure."""


@contextmanager
def load(
    url: str, run: Run, clients: dict[str, Population], rate: float, seconds: float
) -> Iterator[list[LoadProcess]]:
    """All populations at once, `rate` requests a second together; they end with the block."""
    with ExitStack() as running:
        yield [
            running.enter_context(_start(_plan(name, one, rate, seconds, run, url), h2=one.h2))
            for name, one in clients.items()
        ]


def _start(plan: LoadPlan, *, h2: bool) -> LoadProcess:
    return start_h2(plan) if h2 else LoadProcess.start(plan)


def _plan(stream: str, one: Population, rate: float, seconds: float, run: Run, url: str) -> LoadPlan:
    profile = Profile(
        name=stream,
        arrivals=Constant(rate=rate * one.share),
        duration=f"{round(seconds * 1000)}ms",
        connections=Connections(max=512, fresh=one.fresh),
        mix=one.mix,
    )
    return LoadPlan(stream=stream, url=url, profile=profile, run_dir=str(run.path), run_id=run.id, seed=run.info.seed)
