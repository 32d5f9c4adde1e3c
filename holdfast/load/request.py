"""One request: its number, its ids, and its bytes on the wire (HTTP/1.1). Pure."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from urllib.parse import urlsplit

import msgspec

from holdfast.load.plan import LoadPlan
from holdfast.load.profile import HttpRoute, Route

SAFE_METHODS = frozenset({"GET"})
"""Methods that change nothing at the server, RFC 9110 §9.2.1 (of those that a profile may name)."""

IDEMPOTENCY_HEADER = "idempotency-key"
"""Carries a request's key; the edge and the services know it by this name."""


class Template:
    """A route, made ready: everything of its requests that is the same for each is encoded once."""

    __slots__ = ("_body", "_head", "_numbered", "keyed", "name", "repeatable", "route")

    def __init__(self, name: str, route: HttpRoute, plan: LoadPlan) -> None:
        self.name = name
        self.route: Route = route
        self.keyed = route.idempotency_key
        self.repeatable = route.method in SAFE_METHODS or route.idempotency_key
        self._body = b"" if route.body is None else msgspec.json.encode(route.body)
        self._head = _static_head(route, plan)
        self._numbered = b"{n}" in self._body or b"{n}" in self._head

    def encode(self, start: Start, last_event_id: str = "") -> bytes:
        """Return the bytes of the request. `last_event_id` asks to go on after that event of a stream."""
        head, body = self._head, self._body
        if self._numbered:
            number = b"%d" % start.n
            head, body = head.replace(b"{n}", number), body.replace(b"{n}", number)
        lines = f"x-request-id: {start.id}\r\ntraceparent: {start.traceparent}\r\n"
        if start.key:
            lines += f"{IDEMPOTENCY_HEADER}: {start.key}\r\n"
        if last_event_id:
            lines += f"last-event-id: {last_event_id}\r\n"
        if start.fresh:
            lines += "connection: close\r\n"
        if body:
            lines += f"content-length: {len(body)}\r\n"
        return b"%b%b\r\n%b" % (head, lines.encode(), body)


@dataclass(slots=True)
class Start:
    """One intended start. `intended`: monotonic ns. `fresh`: on a connection of its own, closed afterwards."""

    n: int
    id: str
    key: str | None
    template: Template
    intended: int
    fresh: bool
    traceparent: str


def starts(plan: LoadPlan, t0: int) -> Iterator[Start]:
    """Yield the starts of `plan` in order, the first offset counted from `t0` (monotonic ns).

    The seed decides everything: two calls with one plan differ in nothing but `t0`.
    """
    profile = plan.profile
    templates = [Template(name, route, plan) for name, route in profile.mix.items()]
    weights = list(accumulate(route.weight for route in profile.mix.values()))
    seed = f"{plan.seed}:{plan.stream}"
    dice = random.Random(f"{seed}:mix")
    for n, offset in enumerate(profile.arrivals.offsets(profile.seconds, f"{seed}:arrivals"), start=1):
        template = templates[bisect(weights, dice.random() * weights[-1])]
        id_ = f"{plan.run_id}-{plan.stream}-{n}"
        yield Start(
            n=n,
            id=id_,
            key=f"k-{id_}" if template.keyed else None,
            template=template,
            intended=t0 + offset,
            fresh=dice.random() < profile.connections.fresh,
            traceparent=f"00-{dice.getrandbits(128) or 1:032x}-{dice.getrandbits(64) or 1:016x}-01",
        )


def _static_head(route: HttpRoute, plan: LoadPlan) -> bytes:
    """The request line and the headers that do not change, each ended by CRLF."""
    target = urlsplit(plan.url)
    headers = {"host": target.netloc.rpartition("@")[2], "user-agent": "holdfast"}
    if route.body is not None:
        headers["content-type"] = "application/json"
    headers["accept"] = "text/event-stream" if route.__struct_config__.tag == "sse" else "*/*"
    for name, value in {**route.headers, **plan.headers}.items():
        headers[name.lower()] = value
    path = target.path.rstrip("/") + route.path
    return "".join(
        [f"{route.method} {path} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in headers.items())]
    ).encode()
