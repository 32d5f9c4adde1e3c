"""What a place to run a stack must do, and what it may be able to do beside (capabilities)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import msgspec

from holdfast.infra.home import Home
from holdfast.infra.release import Release
from holdfast.infra.stack import Color, Stack

Placement = Mapping[str, Color]
"""Which color of which service: {"gateway": "green", "engine": "green"}."""


class RouteTable(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go: for each service the weight (percent) of each color, and the color that the preview leads to.

    `token` is the fencing token of the operation that wrote it; `serial` grows with each write.
    """

    weights: dict[str, dict[str, int]] = {}
    preview: dict[str, str] = {}
    token: int = 0
    serial: int = 0

    def live(self, service: str) -> str | None:
        """The color with the most weight; None when the service has no route."""
        weights = self.weights.get(service)
        return max(weights, key=lambda color: weights[color]) if weights else None

    def moved(self, placement: Placement, token: int) -> RouteTable:
        """This table with all traffic of the placed services on their colors; the preview ends with it."""
        moved: dict[str, dict[str, int]] = {service: {color: 100} for service, color in placement.items()}
        weights = {**self.weights, **moved}
        return RouteTable(weights=weights, token=token, serial=self.serial + 1)

    def shared(self, placement: Placement, old: Placement, share: int, token: int) -> RouteTable:
        """This table with `share` percent of the placed services' traffic on their colors, the rest on the old ones.

        The old color comes first, so that it still counts as the live one at half and half.
        """
        split: dict[str, dict[str, int]] = {
            service: {old[service]: 100 - share, color: share} for service, color in placement.items()
        }
        weights = {**self.weights, **split}
        return RouteTable(weights=weights, token=token, serial=self.serial + 1)

    def previewing(self, placement: Placement, token: int) -> RouteTable:
        """This table with the preview of the placed services on their colors."""
        return RouteTable(weights=self.weights, preview=dict(placement), token=token, serial=self.serial + 1)

    def without(self, services: list[str], token: int) -> RouteTable:
        """This table without any route of these services: as before their first release."""
        kept = {service: weights for service, weights in self.weights.items() if service not in services}
        return RouteTable(weights=kept, preview=self.preview, token=token, serial=self.serial + 1)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An instance, by address. `probe` is the base URL of its /healthz, /readyz and /metrics."""

    instance: str
    service: str
    color: str
    host: str
    port: int
    probe: str

    @property
    def probe_port(self) -> int:
        """The port of `probe`."""
        return int(self.probe.rpartition(":")[2])


class Target(Protocol):
    """Six verbs (start, wait_ready, addresses, live, route, stop) and questions beside them.

    Each may be repeated: a step that was cut off by a kill runs again.
    """

    stack: Stack
    home: Home

    def start(self, release: Release, placement: Placement, sizes: Mapping[str, int]) -> None:
        """Have `sizes[service]` instances of the release run in the placed colors. They get no traffic by it."""
        ...

    def wait_ready(self, placement: Placement) -> None:
        """Wait until every instance, by its own address, is ready several times in a row. Raises GateFailed."""
        ...

    def addresses(self, placement: Placement) -> list[Address]:
        """The instances of the placed colors that should run."""
        ...

    def live(self) -> RouteTable:
        """The route table in force."""
        ...

    def route(self, table: RouteTable) -> int:
        """Put a route table in force by one write; returns the instant (ns, monotonic) of the write."""
        ...

    def stop(self, placement: Placement) -> None:
        """End the instances of the placed colors, letting them finish what is in flight."""
        ...

    def release_in(self, service: str, color: str) -> Release | None:
        """The release that a color was last started from."""
        ...

    def running(self, placement: Placement) -> bool:
        """Whether each placed service has an instance that runs; False for no service."""
        ...

    def size_of(self, service: str, color: str) -> int:
        """How many instances a color gets when it is started."""
        ...

    def in_force(self, table: RouteTable) -> bool:
        """Whether every edge has taken this table."""
        ...

    def edge_color(self) -> str:
        """Which color answers one request on a new connection to the edge; empty when none does."""
        ...

    def edge_url(self) -> str:
        """Where clients send requests."""
        ...

    def preview_url(self, placement: Placement) -> str:
        """Where requests with the preview header reach these colors."""
        ...

    def answers(self, service: str, color: str) -> tuple[int, int] | None:
        """How many answers the edge has counted for a color: all, and those with a 5xx status; None: nobody counts."""
        ...

    def store_dsn(self, store: str) -> str:
        """The URL of a PostgreSQL store for holdfast itself."""
        ...

    def fence(self, token: int) -> None:
        """Carry this fencing token in every change from now on."""
        ...


@runtime_checkable
class CanLive(Protocol):
    """A target that can be brought up and taken down whole, as a throw-away stack is."""

    def prepare(self, release: Release) -> None:
        """Bring a release to where it can be started."""
        ...

    def up(self) -> None:
        """Start the stores and the edge, and wait until they work. Raises EnvironmentFailed."""
        ...

    def down(self) -> None:
        """End all of it."""
        ...

    def restarts(self) -> dict[str, str]:
        """What had to be started again, and how often; also what ended and came back as another."""
        ...


@runtime_checkable
class CanDrain(Protocol):
    """A target that can ask instances to finish and to move their long connections, and to take traffic again."""

    def drain(self, placement: Placement) -> None:
        """Announce the close; instances still answer what reaches them."""
        ...

    def undrain(self, placement: Placement) -> None:
        """Take it back."""
        ...

    def in_flight(self, placement: Placement) -> int:
        """Requests that the placed instances are working on now; instances that do not answer count nothing."""
        ...


@runtime_checkable
class CanHold(Protocol):
    """A target that keeps a color for a while and ends it by itself, also when no holdfast command runs."""

    def hold(self, placement: Placement, until: float | None) -> None:
        """End the placed instances at `until` (Unix seconds); None: keep them."""
        ...

    def held_until(self, placement: Placement) -> float | None:
        """When they end; None when they are kept, or do not run."""
        ...


@runtime_checkable
class CanKill(Protocol):
    """A target that can kill an instance."""

    def kill(self, instance: str) -> None:
        """SIGKILL; whoever watches the instance starts it again, or another in its place."""
        ...

    def successor(self, killed: Address) -> Address | None:
        """Where the instance runs that came in the place of a killed one; None before there is one."""
        ...


@runtime_checkable
class CanCut(Protocol):
    """A target that can cut the way from one part's instances to another's, for new connections at least."""

    def cut(self, source: str, to: str) -> None:
        """Cut it; again: nothing changes. Raises Refused when the cut would not hold."""
        ...

    def heal(self, source: str, to: str) -> None:
        """Open it again, whoever cut it; nothing where it is not cut."""
        ...

    def cuts(self) -> list[tuple[str, str]]:
        """What is cut: (source, to)."""
        ...


@runtime_checkable
class CanLock(Protocol):
    """A target that operators on other machines share: it has a lock of its own, and says what is open elsewhere."""

    def lock(self, holder: str, newer_than: int) -> AbstractContextManager[int]:
        """Hold the lock; gives a fencing token higher than any before it and than `newer_than`. Raises Refused."""
        ...

    def check(self) -> None:
        """Raise when the lock was lost, or a newer operation has overtaken this one."""
        ...

    def note(self, operation: str) -> None:
        """Say for all to see which operation is open, and where its journal is; empty: none is."""
        ...

    def noted(self) -> str:
        """What was said last."""
        ...


@runtime_checkable
class CanDrift(Protocol):
    """A target whose routes somebody else could change by hand."""

    def drift(self) -> list[str]:
        """What differs from the route table in force, in words that name it."""
        ...
