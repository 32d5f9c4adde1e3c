"""What a release needs from packages above this one. `holdfast.pipelines.compose` supplies it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.infra.target import Placement
from holdfast.verdict import Verdict


class SchemaWindow(Protocol):
    """The database's schema, seen as a revision in a chain."""

    def current(self) -> str | None:
        """The revision of the database now; None before the first."""
        ...

    def check(self, oldest: str, newest: str) -> None:
        """Raise Refused when no expansion can bring the database into the range, both ends included."""
        ...

    def expand(self, newest: str) -> None:
        """Bring the database to the range's newest revision, unless it is there already."""
        ...

    def drop_expansion(self, back_to: str | None) -> None:
        """Take the database back to a revision it had before."""
        ...


class ColorGate(Protocol):
    """Proves an idle color through the preview, before it gets traffic."""

    def __call__(self, placement: Placement) -> Sequence[Verdict]:
        """Judge the color that the preview leads to."""
        ...


class Watch(Protocol):
    """Watches the live color after a switch."""

    def __call__(self, placement: Placement, share: int = 100) -> Sequence[Verdict]:
        """Judge the live color under `share` percent of the traffic."""
        ...


class Reconcile(Protocol):
    """Compares the release's own requests with their effects."""

    def __call__(self) -> Sequence[Verdict]:
        """Judge the ledger of the release's gate and watch."""
        ...


@dataclass(frozen=True)
class Ports:
    """All of them."""

    schema: SchemaWindow
    gate: ColorGate
    watch: Watch
    reconcile: Reconcile
