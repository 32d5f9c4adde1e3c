"""The rollback protocol as data. It asks nothing of the color that it leaves, of the database or of any metric."""

from __future__ import annotations

from holdfast.infra.bluegreen import steps
from holdfast.infra.bluegreen.context import Context
from holdfast.journal import Step, nothing

SWITCH_BACK = "switch-back"
"""Before this step a rollback has changed nothing; from it on there is only the way on."""

ROLLBACK: tuple[Step[Context], ...] = (
    Step("keep-old", act=steps.keep_way_back, undo=nothing),
    Step(SWITCH_BACK, act=steps.route_to_previous, undo=nothing),
    Step("propagate", act=steps.see_switch, undo=nothing),
    Step("hold-left", act=steps.hold_rolled_back_color, undo=nothing),
    Step("close", act=steps.close_release, undo=nothing),
)
