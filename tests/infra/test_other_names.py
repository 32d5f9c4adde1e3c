"""A stack may give its stores, services and links any names: nothing is found by the names that sparkle has."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.stack import ROOT, Sparkle, refusal, sparkle, wait_until

from holdfast.errors import UsageError
from holdfast.infra.effects import read_effects
from holdfast.infra.home import Home
from holdfast.infra.release import build_release, read_release
from holdfast.infra.stack import Stack, load_stack, parse_stack
from holdfast.infra.target import Placement, RouteTable
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.migrations.schema import AlembicSchema

NAMES = {"gateway": "door", "engine": "brain", "postgres": "db", "redis": "cache"}
LINKS = {
    "client→edge": "front",
    "gateway→engine": "thinking",
    "engine→postgres": "storing",
    "engine→redis": "telling",
    "gateway→redis": "hearing",
}


def renamed() -> dict[str, Any]:
    """Sparkle without its half on a cluster, with other names for everything."""
    data: dict[str, Any] = yaml.safe_load((ROOT / "infra" / "stacks" / "sparkle.yaml").read_text())
    del data["cluster"]
    data["stores"] = {NAMES[name]: store for name, store in data["stores"].items()}
    data["services"] = {NAMES[name]: service for name, service in data["services"].items()}
    for service in data["services"].values():
        service["replicas"] = 1
        service["ready"]["times"] = 1
        service["env"] = {key: _links_renamed(text) for key, text in service["env"].items()}
    data["links"] = {
        LINKS[name]: {key: NAMES.get(end, end) for key, end in link.items()} for name, link in data["links"].items()
    }
    data["edge"]["service"] = "door"
    data["migrations"]["store"] = data["effects"]["store"] = "db"
    return data


def _links_renamed(text: str) -> str:
    return re.sub(r"(?<=:)[^:{}]+(?=})", lambda match: LINKS[match[0]], text) if "→" in text else text


@pytest.fixture
def stack() -> Stack:
    return parse_stack(renamed(), "renamed.yaml")


@pytest.fixture
def up(stack: Stack, tmp_path: Path) -> Iterator[Sparkle]:
    """The renamed stack, up, with a release of services that go by its names."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "infra" / "services", source)
    recipe = yaml.safe_load((source / "release.yaml").read_text())
    recipe["services"] = {NAMES[name]: service for name, service in recipe["services"].items()}
    (source / "release.yaml").write_text(yaml.safe_dump(recipe))
    build_release("v1", source, tmp_path / "releases")
    with sparkle(tmp_path, tmp_path / "releases", stack=stack) as found:
        yield found


@pytest.mark.slow
def test_a_stack_with_other_names_comes_up_and_serves_a_request(up: Sparkle) -> None:
    assert set(up.units()) == {"db", "cache", "edge"}
    AlembicSchema(ROOT / "migrations", up.target.provision.store_dsn("db")).expand("0001")
    placement: Placement = {"door": "blue", "brain": "blue"}
    up.target.start(read_release("v1", up.home.releases), placement, {"door": 1, "brain": 1})
    up.target.wait_ready(placement)
    table = RouteTable().moved(placement, token=1)
    up.target.route(table)
    wait_until(lambda: up.target.in_force(table), "the edge has taken the routes")
    answer = up.chat()
    assert answer.status_code == 200, answer.text
    effects = up.stack.effects
    assert effects is not None
    found = read_effects(effects, up.target.provision.store_dsn(effects.store), "")
    assert [effect.color for effect in found] == ["blue"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["links"].pop("front"), "links: expected one link from client to edge, got none"),
        (
            lambda data: data["links"].update(back={"from": "client", "to": "edge"}),
            "links: expected one link from client to edge, got front, back",
        ),
        (lambda data: data["stores"].update(links={"kind": "redis"}), "stores.links: the name is taken"),
        (lambda data: data["stores"].update(door={"kind": "redis"}), "stores.door: the name is taken"),
    ],
)
def test_a_name_that_is_needed_once_is_asked_for(change: Callable[[dict[str, Any]], Any], message: str) -> None:
    data = renamed()
    change(data)
    with pytest.raises(UsageError) as caught:
        parse_stack(data, "renamed.yaml")
    assert caught.value.what.startswith(f"renamed.yaml: {message}")


@pytest.mark.parametrize("name", ["agno", "macjarvis", "sage"])
def test_a_stack_that_runs_on_a_cluster_only_is_refused_here(name: str, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    refused = refusal(LocalTarget(load_stack(name), home).up)
    assert refused.what == f"{name} does not run on this machine"
    assert not home.root.exists()
