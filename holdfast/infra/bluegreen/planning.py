"""What a release moves, decided from what is live before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from holdfast.errors import Refused, UsageError
from holdfast.infra.bluegreen.context import Plan, opposite
from holdfast.infra.bluegreen.ports import SchemaWindow
from holdfast.infra.release import Release
from holdfast.infra.stack import Color, Stack
from holdfast.infra.target import Target


@dataclass(frozen=True)
class Planner:
    """Reads the stack, the target and the schema; changes nothing."""

    stack: Stack
    target: Target
    schema: SchemaWindow

    def moving(self, release: Release, services: Sequence[str], *, shares: Sequence[int] = ()) -> list[str]:
        """The wanted services whose live color does not run this release. Raises UsageError or Refused."""
        wanted = list(services) or list(release.manifest.services)
        unknown = [name for name in wanted if name not in self.stack.services or name not in release.manifest.services]
        if unknown:
            raise UsageError(
                f"there is no service {', '.join(unknown)}",
                because=f"release {release.version} has {', '.join(release.manifest.services)}",
                way_out="name services of the release",
            )
        live = self.live()
        if not live and len(wanted) < len(release.manifest.services):
            raise Refused(
                "the first release needs all services",
                because="nothing is live, so those that are not released would not answer",
                way_out="deploy without --service",
            )
        moving = [
            name for name in wanted if name not in live or not _is(self.target.release_in(name, live[name]), release)
        ]
        if shares and any(name not in live for name in moving):
            raise Refused(
                "a first release has no traffic to share",
                because="nothing is live beside it",
                way_out=f"holdfast deploy {release.version}   without --weights",
            )
        return moving

    def live(self) -> dict[str, Color]:
        """Which color of which service has the traffic."""
        table = self.target.live()
        return {name: cast(Color, table.live(name)) for name in self.stack.services if table.live(name)}

    def plan(self, release: Release, services: Sequence[str], *, hold_s: float | None, shares: Sequence[int]) -> Plan:
        """What a release of these services will do; it is written down and never changes."""
        moving, live = self.moving(release, services), self.live()
        running = {name: self.target.release_in(name, color) for name, color in live.items()}
        previous = next((found.version for name in moving if (found := running.get(name))), "")
        return Plan(
            version=release.version,
            digest=release.digest,
            placement={name: opposite(live[name]) if name in live else "blue" for name in moving},
            origin={name: live[name] for name in moving if name in live},
            sizes={
                name: self.target.size_of(name, live[name]) if name in live else self.stack.services[name].replicas
                for name in moving
            },
            hold_s=self.stack.release.hold_s if hold_s is None else hold_s,
            schema_before=self.schema.current() if moving else None,
            previous_version=previous,
            shares=list(shares),
        )


def _is(running: Release | None, wanted: Release) -> bool:
    return running is not None and running.digest == wanted.digest
