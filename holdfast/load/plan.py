"""A load plan: one profile against one URL, as one stream of a run."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from holdfast.load.profile import HeaderText, Profile

PREVIEW_HEADER = "x-holdfast-preview"
"""Asks the edge for the idle color; a stream that carries it is not the users' traffic."""


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a load worker does. Request ids are `<run id>-<stream>-<n>`, so a stream's name is used once in a run.

    `headers` go with every request. `drain`: seconds that requests in flight get after the last start.
    """

    stream: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    url: str
    profile: Profile
    run_dir: str
    run_id: str
    seed: int
    headers: dict[HeaderText, HeaderText] = {}
    drain: float = 12.0

    @property
    def bound(self) -> float:
        """Seconds after which the load is over in any case, counted from the first start."""
        return self.profile.seconds + self.drain

    @property
    def preview(self) -> bool:
        """Tell whether this stream asks for the idle color."""
        return PREVIEW_HEADER in (name.lower() for name in self.headers)
