"""Every process of a stack is found by the tag in its environment, whatever it makes of its own memory."""

from __future__ import annotations

from collections import Counter

import pytest
from support.stack import Sparkle, processes_of, wait_until

pytestmark = pytest.mark.slow


def test_every_unit_of_a_running_stack_is_found_by_its_tag(stack: Sparkle) -> None:
    wanted = {name: kept.identity.pid for name, kept in stack.units().items() if kept.identity}
    assert {"postgres", "redis", "edge", "gateway-blue-1", "engine-blue-1"} <= set(wanted)
    found = processes_of(stack.home.root)
    assert {name: pid for name, pid in wanted.items() if found.get(pid) != name} == {}


def test_a_unit_that_was_started_again_is_found_too(stack: Sparkle) -> None:
    restarts = stack.units()["redis"].restarts
    stack.target.kill("redis")
    wait_until(lambda: stack.units()["redis"].restarts > restarts, "redis was started again")
    wait_until(lambda: Counter(processes_of(stack.home.root).values())["redis"] == 1, "it carries its tag")
    wait_until(lambda: stack.chat().status_code == 200, "the stack serves", 20)
