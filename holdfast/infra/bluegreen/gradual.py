"""A gradual switch: before all traffic moves, shares of it do, each watched before the next (CD-5).

It is the release protocol with two more steps for each share, so that the journal, the undo, `--until` and the dry
run know them like any other step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from holdfast.errors import UsageError
from holdfast.infra.bluegreen import steps
from holdfast.infra.bluegreen.context import Context, old_colors
from holdfast.journal import Step, nothing

SWITCH = "switch"
SHIFT = "shift-"


def with_shares(protocol: Sequence[Step[Context]], shares: Sequence[int]) -> tuple[Step[Context], ...]:
    """The protocol with a shift and a watch for each share (percent) before its switch."""
    gradual: list[Step[Context]] = []
    for step in protocol:
        if step.name == SWITCH:
            for share in shares:
                gradual += [_shift(share), _watch(share)]
        gradual.append(step)
    return tuple(gradual)


def parse_shares(text: str) -> list[int]:
    """Read `5,25,50,100`: percents that grow; the last, all of it, may be left out. Raises UsageError otherwise."""
    parts = [part.strip() for part in text.split(",")]
    numbers = [int(part) for part in parts if part.isdecimal()]
    grows = all(low < high for low, high in pairwise(numbers))
    if len(numbers) != len(parts) or not grows or numbers[0] < 1 or numbers[-1] > 100:
        raise UsageError(
            f"{text!r} are not weights",
            because="weights are percents from 1 to 100 that grow, like 5,25,50,100",
            way_out="write them so",
        )
    return [number for number in numbers if number < 100]


def _shift(share: int) -> Step[Context]:
    def act(context: Context) -> None:
        plan = context.plan
        context.target.wait_ready(plan.placement)
        table = context.target.live().shared(plan.placement, old_colors(plan), share, context.token)
        written = context.target.route(table)
        steps.wait_in_force(context)
        context.timeline.point("shift", op=context.label, written=written, share=share, to=dict(plan.placement))

    act.__doc__ = f"move {share} % of the traffic to the new color by one write"
    return Step(f"{SHIFT}{share}", act=act, undo=steps.route_back)


def _watch(share: int) -> Step[Context]:
    def act(context: Context) -> None:
        steps.demand(context, context.ports.watch(context.plan.placement, share))

    act.__doc__ = f"watch the new color under {share} % of the traffic; fail or unknown goes back"
    return Step(f"watch-{share}", act=act, undo=nothing)
