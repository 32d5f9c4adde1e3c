"""The rollback protocol as data. It asks nothing of the color that it leaves, of the database or of any metric."""

from __future__ import annotations

from holdfast.infra.bluegreen import steps
from holdfast.infra.bluegreen.context import Context
from holdfast.journal import Step, nothing

ROLLBACK: tuple[Step[Context], ...] = (
    Step("keep-old", act=steps.keep_way_back, undo=nothing),
    Step("switch-back", act=steps.route_to_previous, undo=nothing),
    Step("propagate", act=steps.see_switch, undo=nothing),
    Step("hold-left", act=steps.hold_rolled_back_color, undo=nothing),
    Step("close", act=steps.close_release, undo=nothing),
)
