"""A load profile: how many requests of which kinds start when. One YAML file in `load/profiles/`, typed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from holdfast.config import convert, convert_map, read_yaml
from holdfast.content import resolve
from holdfast.load.arrivals import Arrivals

FOLDER = "load/profiles"

Duration = Annotated[str, Meta(pattern=r"^\d+(\.\d+)?(ms|s|m|h)$")]
HeaderText = Annotated[str, Meta(pattern=r"^[^\r\n]*$")]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Connections(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `max` connections at once; the share `fresh` of requests opens a new one and closes it afterwards."""

    max: Annotated[int, Meta(ge=1, le=60_000)] = 512
    fresh: Annotated[float, Meta(ge=0, le=1)] = 0.0


class HttpRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="http", tag_field="kind"):
    """One kind of request and its weight in the mix. `{n}` in path and body becomes the request's number.

    `effect`: success must leave exactly one effect. `idempotency_key`: the request carries one, so it
    may be sent again.
    """

    path: Annotated[str, Meta(pattern=r"^/[^\s]*$")]
    weight: Annotated[int, Meta(ge=1)] = 1
    method: Annotated[str, Meta(pattern="^(GET|POST|PUT|PATCH|DELETE)$")] = "GET"
    body: Any = None
    headers: dict[HeaderText, HeaderText] = {}
    idempotency_key: bool = False
    effect: bool = False


class SseRoute(HttpRoute, frozen=True, forbid_unknown_fields=True, tag="sse", tag_field="kind"):
    """A request answered by server-sent events; it has succeeded when the event `done` was read."""


Route = HttpRoute | SseRoute


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to offer. `name` is the file's stem. `timeout` counts from the moment that a request gets a connection."""

    name: str = ""
    arrivals: Arrivals
    duration: Duration
    timeout: Duration = "10s"
    connections: Connections = Connections()
    mix: Annotated[dict[str, Route], Meta(min_length=1)]

    @property
    def seconds(self) -> float:
        """How long requests start."""
        return seconds(self.duration)

    @property
    def timeout_seconds(self) -> float:
        """How long a request may take."""
        return seconds(self.timeout)


def seconds(text: str) -> float:
    """Read a duration like `500ms`, `60s`, `2m` or `1h`."""
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m|h)", text).groups()  # type: ignore[union-attr] # typed by Duration
    return float(number) * _UNITS[unit]


def load_profile(name: str) -> Profile:
    """Read the profile called `name` (or the file, when it has a suffix)."""
    return read_profile(resolve(name, FOLDER, ".yaml"))


def read_profile(path: Path) -> Profile:
    """Read and check one profile file. Raises UsageError with the file and the key in its message."""
    shown = _shown(path)
    raw = read_yaml(path)
    if "mix" in raw:
        raw["mix"] = convert_map(raw["mix"], Route, f"{shown}: mix")  # type: ignore[arg-type] # a union
    profile = convert(raw, Profile, f"{shown}:")
    return msgspec.structs.replace(profile, name=path.stem)


def _shown(path: Path) -> str:
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(path)
