"""The release protocol as data: runner, `--until`, dry run, `status`, resume and crash tests walk this tuple."""

from __future__ import annotations

from holdfast.infra.bluegreen import steps
from holdfast.infra.bluegreen.context import Context
from holdfast.journal import Step, nothing

HOLD = "hold"
"""After this step a release waits for the end of its hold window, or for `promote` or `rollback`."""
RETIRE = "retire"
"""From this step's intent on there is no way back: whoever goes on with the release goes forward."""

RELEASE: tuple[Step[Context], ...] = (
    Step("check-schema", act=steps.check_schema_range, undo=nothing),
    Step("expand", act=steps.expand_schema, undo=steps.drop_expansion),
    Step("start-idle", act=steps.start_idle_color, undo=steps.stop_idle_color),
    Step("ready", act=steps.wait_ready, undo=nothing),
    Step("preview", act=steps.preview_idle_color, undo=steps.end_preview),
    Step("prove-idle", act=steps.gate_idle_color, undo=nothing),
    Step("switch", act=steps.route_to_idle, undo=steps.route_back),
    Step("propagate", act=steps.see_switch, undo=nothing),
    Step("drain", act=steps.drain_old_color, undo=nothing),
    Step("watch", act=steps.watch_live_color, undo=nothing),
    Step("reconcile", act=steps.reconcile_ledger, undo=nothing),
    Step(HOLD, act=steps.hold_old_color, undo=steps.keep_old_color),
    Step(RETIRE, act=steps.retire_old_color, undo=nothing),
)
