"""What runs: the first process and the components, by pid and start time, in one file."""

from __future__ import annotations

import msgspec

from holdfast.children import Identity, tagged
from holdfast.durable import replace_file
from holdfast.infra.targets.cluster.local.layout import TAG, Layout


class State(msgspec.Struct, kw_only=True):
    """`complete`: the cluster was up once, so it is mended rather than made anew."""

    init: Identity
    components: dict[str, Identity] = {}
    complete: bool = False

    def alive(self) -> bool:
        """Whether the cluster's first process runs, and so anything of it can."""
        return self.init.alive()


def load(layout: Layout) -> State | None:
    """The state of the cluster; None when there is none."""
    try:
        return msgspec.json.decode(layout.state.read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def save(layout: Layout, state: State) -> None:
    """Write it before anything is built on it."""
    replace_file(layout.state, msgspec.json.encode(state), mode=0o600)


def processes(layout: Layout) -> list[Identity]:
    """Every process that carries the cluster's tag: also one whose starter was killed before it wrote it down."""
    return [identity for identity, _ in tagged(TAG, str(layout.root))]
