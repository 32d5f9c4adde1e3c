"""`replicas` in the stack's YAML is the number of instances from the next `up` on, at the edge too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stack import ROOT, Sparkle, quick_stack, sparkle, wait_until

from holdfast.children import Identity, identify
from holdfast.infra.release import read_release
from holdfast.infra.target import Placement, RouteTable
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.migrations.schema import AlembicSchema

pytestmark = pytest.mark.slow

BLUE: Placement = {"gateway": "blue", "engine": "blue"}


@pytest.fixture
def small(tmp_path: Path, releases: Path) -> Iterator[Sparkle]:
    """v1 live in blue, one instance a service."""
    with sparkle(tmp_path, releases, stack=quick_stack(1)) as found:
        AlembicSchema(ROOT / "migrations", found.target.provision.store_dsn("postgres")).expand("0001")
        found.target.start(read_release("v1", found.home.releases), BLUE, {"gateway": 1, "engine": 1})
        found.target.wait_ready(BLUE)
        table = RouteTable().moved(BLUE, token=1)
        found.target.route(table)
        wait_until(lambda: found.target.in_force(table), "the edge has taken the routes")
        yield found


def sized(stack: Sparkle, replicas: int) -> LocalTarget:
    """The same home, by a YAML with another number of replicas."""
    return LocalTarget(quick_stack(replicas), stack.home, owner=identify(os.getpid()))


def identities(target: LocalTarget) -> dict[str, Identity | None]:
    return {name: kept.identity for name, kept in target.units().items()}


def serving(stack: Sparkle) -> set[str]:
    """The gateways that answer a few requests."""
    return {stack.get().json()["instance"] for _ in range(20)}


def test_more_replicas_run_and_serve_after_the_next_up_and_fewer_do_not(small: Sparkle) -> None:
    before = identities(small.target)
    larger = sized(small, 2)
    assert larger.size_of("gateway", "blue") == 2
    larger.up()
    after = identities(larger)
    assert set(after) - set(before) == {"gateway-blue-2", "engine-blue-2"}
    assert {name for name in before if after[name] != before[name]} == {"edge"}
    wait_until(lambda: serving(small) == {"gateway-blue-1", "gateway-blue-2"}, "both serve")
    larger.up()
    assert identities(larger) == after
    assert len(larger.addresses(BLUE)) == 4
    smaller = sized(small, 1)
    smaller.up()
    assert set(identities(smaller)) == set(before)
    assert serving(small) == {"gateway-blue-1"}
    assert small.chat().status_code == 200


def test_an_up_that_changes_nothing_leaves_envoy_alone(small: Sparkle) -> None:
    before = identities(small.target)
    for _ in range(2):
        sized(small, 1).up()
        assert identities(small.target) == before
