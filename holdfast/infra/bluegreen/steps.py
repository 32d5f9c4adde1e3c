"""What the steps do and how they are undone. Each may run again after a kill; a dry run prints the docstrings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import msgspec

from holdfast.children import poll
from holdfast.errors import EnvironmentFailed, GateFailed, GateUnknown, HoldfastError, Refused
from holdfast.infra.bluegreen.context import Context, old_colors
from holdfast.infra.stack import Color
from holdfast.infra.target import CanDrain, CanHold, CanLock, Placement, Target
from holdfast.timeline import now
from holdfast.verdict import Outcome, Verdict, worst

CONSECUTIVE_ANSWERS = 10
"""So many new connections in a row must be answered by the new color before the switch counts as seen."""


def check_schema_range(context: Context) -> None:
    """compare the schema range that the release tolerates with the database"""
    tolerated = context.release.manifest.schema_range
    context.ports.schema.check(tolerated.oldest, tolerated.newest)


def expand_schema(context: Context) -> None:
    """bring the schema to what the release needs, by additions only"""
    context.ports.schema.expand(context.release.manifest.schema_range.newest)


def drop_expansion(context: Context) -> None:
    """take the additions back, unless the new color has had traffic: its data may be in them"""
    if any(line.step.startswith(("shift-", "switch")) for line in context.operation.lines):
        context.timeline.point("note", text="the expanded schema stays: the new color has had traffic")
        return
    if isinstance(context.target, CanLock):
        context.target.check()
    context.ports.schema.drop_expansion(context.plan.schema_before)


def start_idle_color(context: Context) -> None:
    """start the idle color from the release, as large as the live one is now"""
    context.target.start(context.release, context.plan.placement, context.plan.sizes)


def stop_idle_color(context: Context) -> None:
    """stop the idle color; a color that may be live is never stopped"""
    context.target.stop(context.plan.placement)


def wait_ready(context: Context) -> None:
    """probe every instance by its own address until each is ready several times in a row"""
    context.target.wait_ready(context.plan.placement)


def preview_idle_color(context: Context) -> None:
    """lead requests with the preview header to the idle color"""
    table = context.target.live()
    context.target.route(table.previewing(_previewed(context), context.token))
    wait_in_force(context)


def wait_in_force(context: Context) -> None:
    """Wait until every edge has the routes that were written. Raises GateFailed."""
    limit = context.stack.release.propagation_timeout_s
    table = context.target.live()
    for _ in poll(time.monotonic() + limit, every=0.02):
        if context.target.in_force(table):
            return
    raise GateFailed(
        f"not every edge took the routes within {limit:g} s",
        because="one of them does not run, or does not read what was written",
        way_out="see `holdfast logs edge`, or on a cluster the log of its pods",
    )


def end_preview(context: Context) -> None:
    """lead the preview header nowhere"""
    context.target.route(context.target.live().previewing({}, context.token))


def gate_idle_color(context: Context) -> None:
    """judge the idle color through the preview; unknown refuses too"""
    demand(context, context.ports.gate(context.plan.placement))


def route_to_idle(context: Context) -> None:
    """move all traffic of the released services by one write, if the idle color is still ready"""
    context.target.wait_ready(context.plan.placement)  # it may have been down since it was proven
    _switch(context, context.plan.placement, old_colors(context.plan))


def route_back(context: Context) -> None:
    """move the traffic back by one write; asks nothing of the new color"""
    plan, old = context.plan, old_colors(context.plan)
    if old and not context.target.running(old):
        start_again(context, old)
    _switch(context, old, plan.placement, routeless=[name for name in plan.placement if name not in old])
    _take_traffic_again(context.target, old)


def start_again(context: Context, old: Placement) -> None:
    """Start a color that ended while the operation was cut off (the stack was down): traffic never moves to nothing."""
    target = context.target
    for service, color in old.items():
        release = target.release_in(service, color)
        if release is None:
            raise EnvironmentFailed(
                f"{service} {color} does not run and cannot be started",
                because="the folder of its release is gone, or is not what was deployed",
                way_out="bring that folder back, then run `holdfast abort`",
            )
        target.start(release, {service: color}, {service: target.size_of(service, color)})
    target.wait_ready(old)


def see_switch(context: Context) -> None:
    """measure until every edge has the new routes and answers from the new color"""
    limit = context.stack.release.propagation_timeout_s
    table = context.target.live()
    edge_service = context.stack.edge.service
    expected = context.plan.placement.get(edge_service, "")
    began = first = context.written or now()
    in_a_row = 0
    for _ in poll(time.monotonic() + limit, every=0.002):
        if in_a_row == 0:
            first = now()
        seen = context.target.in_force(table) and (not expected or context.target.edge_color() == expected)
        in_a_row = in_a_row + 1 if seen else 0
        if in_a_row >= (CONSECUTIVE_ANSWERS if expected else 1):
            context.timeline.point("propagated", op=context.label, ms=(first - began) / 1e6, serial=table.serial)
            return
    raise GateFailed(
        f"the switch was not seen at the edge within {limit:g} s",
        because=f"the edge does not answer from {expected or 'the new routes'}",
        way_out="see `holdfast logs edge`; the traffic goes back to the old color",
    )


def drain_old_color(context: Context) -> None:
    """let the old color finish what is in flight and announce the close; leftovers are counted"""
    old, target = old_colors(context.plan), context.target
    if not old or not isinstance(target, CanDrain):
        return
    target.drain(old)
    left = target.in_flight(old)
    for _ in poll(time.monotonic() + context.stack.release.drain_s, every=0.1):
        left = target.in_flight(old)
        if left == 0:
            break
    context.timeline.point("drained", op=context.label, leftovers=left)


def watch_live_color(context: Context) -> None:
    """watch the new color under live traffic; fail or unknown goes back"""
    demand(context, context.ports.watch(context.plan.placement))


def reconcile_ledger(context: Context) -> None:
    """compare the release's own requests with their effects"""
    demand(context, context.ports.reconcile())


def hold_old_color(context: Context) -> None:
    """keep the old color for the hold window: until then rollback is one write"""
    old = old_colors(context.plan)
    if old and isinstance(context.target, CanHold):
        context.target.hold(old, time.time() + context.plan.hold_s)


def keep_old_color(context: Context) -> None:
    """keep the old color without an end"""
    old = old_colors(context.plan)
    if old and isinstance(context.target, CanHold) and context.target.running(old):
        context.target.hold(old, None)


def retire_old_color(context: Context) -> None:
    """stop the old color: from here on there is no way back but another release"""
    context.target.stop(old_colors(context.plan))


def keep_way_back(context: Context) -> None:
    """end the hold window of the color that the traffic returns to: it stays; refuse where it has ended already"""
    if not secure(context.target, context.plan.placement):
        raise Refused(
            "there is nothing to roll back to any more",
            because=f"the color of {context.plan.version} has ended with its hold window",
            way_out=f"holdfast deploy {context.plan.version} brings that version back as a release",
        )


def route_to_previous(context: Context) -> None:
    """move the traffic to the color it came from by one write, and have it take traffic as before"""
    _switch(context, context.plan.placement, old_colors(context.plan))
    _take_traffic_again(context.target, context.plan.placement)


def hold_rolled_back_color(context: Context) -> None:
    """keep the color that was left for the hold window, so that going forward again is quick"""
    left = old_colors(context.plan)
    target = context.target
    if isinstance(target, CanHold):  # also when none of it runs now: what is left of it must have an end
        target.hold(left, time.time() + context.plan.hold_s)


def close_release(context: Context) -> None:
    """write down that the release was rolled back"""
    for operation in context.journal.operations():
        if operation.name == context.plan.closes and operation.outcome is None:
            operation.finish("rolled back", because="holdfast rollback")


def demand(context: Context, verdicts: Sequence[Verdict]) -> None:
    """Write the verdicts to the timeline; raise when the worst of them is not pass."""
    for verdict in verdicts:
        context.timeline.point(
            "verdict", op=context.label, gate=verdict.gate, outcome=verdict.outcome.value, because=verdict.because
        )
    outcome = worst(verdict.outcome for verdict in verdicts)
    if outcome is Outcome.PASS:
        return
    bad = [verdict for verdict in verdicts if verdict.outcome is outcome]
    kind = GateFailed if outcome is Outcome.FAIL else GateUnknown
    raise kind(
        f"release {context.plan.version} did not pass: {', '.join(v.gate for v in bad) or 'nothing was judged'}",
        because="; ".join(verdict.because for verdict in bad),
        way_out=f"see `holdfast report show {context.timeline.run}` and `holdfast logs`",
    )


def _switch(context: Context, to: Placement, leaving: Placement, routeless: Sequence[str] = ()) -> None:
    """One write moves everything; `routeless` services had no route before their first release."""
    table = context.target.live().moved(to, context.token)
    if routeless:
        table = msgspec.structs.replace(table.without(list(routeless), context.token), serial=table.serial)
    written = context.written = context.target.route(table)
    if not to:
        return
    context.timeline.point(
        "switch",
        op=context.label,
        written=written,
        to=dict(to),
        token=context.token,
        edge=context.stack.edge.service,
        **{"from": dict(leaving)},
    )


def secure(target: Target, old: Placement) -> bool:
    """Take the end of a color back, and tell whether it runs: then nothing but a person ends it from here on."""
    if isinstance(target, CanHold):
        with suppress(EnvironmentFailed):  # it has just ended
            target.hold(old, None)
        return target.running(old) and target.held_until(old) is None
    return target.running(old)


def keep_serving(target: Target, live: Placement) -> None:
    """Have a color that is live stay and take traffic as before, whatever an operation had told it."""
    if isinstance(target, CanHold):
        target.hold(live, None)
    _take_traffic_again(target, live)


def _take_traffic_again(target: Target, color: Placement) -> None:
    """Best effort: the traffic has come back already, and a draining instance answers it."""
    with suppress(HoldfastError):
        if isinstance(target, CanDrain):
            target.undrain(color)


def _previewed(context: Context) -> Placement:
    """The preview leads to the idle color of the released services, to the live one of all others."""
    table = context.target.live()
    others = [name for name in context.stack.services if name not in context.plan.placement and table.live(name)]
    return {**{name: cast(Color, table.live(name)) for name in others}, **context.plan.placement}
