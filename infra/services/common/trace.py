"""W3C trace context: https://www.w3.org/TR/trace-context/. A valid one is continued, an invalid one replaced."""

import random
import re

# version 00 has exactly four fields; later versions may append more (§3.2.2 of the recommendation); ff is forbidden.
TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
TRACESTATE_LIMIT = 512
SAMPLED = "01"


def child(traceparent: str | None, tracestate: str | None) -> tuple[str, str | None]:
    """The trace context to pass on: same trace, new span. A new trace, without state, when there is no valid parent."""
    parent = TRACEPARENT.fullmatch(traceparent or "")
    if parent is None or (parent[1] == "00" and parent[5]):
        return f"00-{_hex(128)}-{_hex(64)}-{SAMPLED}", None
    return f"00-{parent[2]}-{_hex(64)}-{parent[4]}", _state(tracestate)


def _state(tracestate: str | None) -> str | None:
    usable = tracestate and len(tracestate) <= TRACESTATE_LIMIT and tracestate.isascii() and tracestate.isprintable()
    return tracestate if usable else None


def _hex(bits: int) -> str:
    """A random id that is not zero, since zero means `no id`."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"
