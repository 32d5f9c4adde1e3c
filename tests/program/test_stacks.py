"""The field `cluster` of a stack: the four stacks load, a fault is named by its path, nothing loads Pulumi early."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.cluster_plan import STACKS

from holdfast.content import content_root
from holdfast.errors import UsageError
from holdfast.infra.stack import load_stack, parse_stack


def data(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((content_root() / f"infra/stacks/{name}.yaml").read_text())
    return found


@pytest.mark.parametrize("name", STACKS)
def test_each_stack_loads_with_its_half_on_a_cluster(name: str) -> None:
    cluster = load_stack(name).cluster
    assert cluster is not None
    assert set(cluster.environments) == {"dev", "staging", "prod"}
    assert cluster.drills is not None
    assert cluster.drills.schedule == "0 2 * * *"


def test_only_sparkle_also_runs_on_one_machine() -> None:
    alone = {name: cluster.only for name in STACKS if (cluster := load_stack(name).cluster)}
    assert alone == {"sparkle": False, "agno": True, "macjarvis": True, "sage": True}


def test_a_stack_without_the_field_loads_as_before() -> None:
    plain = data("sparkle")
    del plain["cluster"]
    assert parse_stack(plain, "sparkle.yaml").cluster is None


WRONG = {
    "cluster.services.engine.port": ("services", "engine", "port", "http"),
    "cluster.parts.postgres.storage": ("parts", "postgres", "storage", 5),
    "cluster.parts.redis": ("parts", "redis", "kind", "memcached"),
    "cluster.environments.prod.size": ("environments", "prod", "size", "huge"),
    "cluster.tenants.example.quota.pods": ("tenants", "example", "quota", {"pods": "many"}),
}


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_value_is_named_with_its_full_path(path: str) -> None:
    plain = copy.deepcopy(data("sparkle"))
    *keys, last, value = WRONG[path]
    entry = plain["cluster"]
    for key in keys:
        entry = entry[key]
    entry[last] = value
    with pytest.raises(UsageError) as found:
        parse_stack(plain, "s.yaml")
    assert found.value.what.startswith(f"s.yaml: {path}")


def test_an_unknown_key_is_refused() -> None:
    plain = data("sage")
    plain["cluster"]["parts"]["postgres"]["colour"] = "red"
    with pytest.raises(UsageError, match=r"cluster\.parts\.postgres.*unknown field `?colour"):
        parse_stack(plain, "sage.yaml")


NAMES: dict[str, tuple[str, Any]] = {
    "parts.kong.routes.users": ("macjarvis", lambda c: c["parts"]["kong"]["routes"]["users"].update(service="nobody")),
    "parts.mesh.services": ("agno", lambda c: c["parts"]["mesh"]["services"].append("nobody")),
    "environments.staging.regions": ("sage", lambda c: c["environments"]["staging"].update(regions=["secondary"])),
    "regions.secondary.follows": ("macjarvis", lambda c: c["regions"]["secondary"].update(follows={"nobody": "host"})),
    "tenants.example.sandboxes": ("agno", lambda c: c["tenants"]["example"]["sandboxes"].append("nobody")),
    "sandboxes.shell.clients": ("macjarvis", lambda c: c["sandboxes"]["shell"]["clients"].append("nobody")),
    "services": ("sage", lambda c: c["services"].pop("memory")),
    "parts": ("sparkle", lambda c: c["parts"].pop("redis")),
    "services.memory.image": ("sage", lambda c: c["services"]["memory"].pop("image")),
    "services.user.autoscale": (
        "macjarvis",
        lambda c: c["services"]["user"].update(autoscale={"least": 3, "most": 2}),
    ),
}


@pytest.mark.parametrize("name", ["Shell", "edge", "user", "a_b", "x" * 41])
def test_a_name_that_cannot_be_an_objects_own_is_refused(name: str) -> None:
    plain = data("macjarvis")
    plain["cluster"]["sandboxes"][name] = {"image": "x:1"}
    with pytest.raises(UsageError) as found:
        parse_stack(plain, "s.yaml")
    assert found.value.what.startswith(f"s.yaml: cluster.sandboxes.{name}:")


@pytest.mark.parametrize("path", NAMES)
def test_a_name_that_stands_for_nothing_is_refused_where_it_is(path: str) -> None:
    name, spoil = NAMES[path]
    plain = data(name)
    spoil(plain["cluster"])
    with pytest.raises(UsageError) as found:
        parse_stack(plain, "s.yaml")
    assert found.value.what.startswith(f"s.yaml: cluster.{path}:")


def test_a_link_may_lead_to_a_part_and_to_nothing_else() -> None:
    plain = data("macjarvis")
    plain["links"]["tool→broker"]["to"] = "brokers"
    with pytest.raises(UsageError, match=r"links\.tool→broker: brokers is neither"):
        parse_stack(plain, "s.yaml")


def test_loading_a_stack_loads_no_pulumi() -> None:
    code = "import sys; from holdfast.infra.stack import load_stack; load_stack('agno'); " + (
        "sys.exit(any(name.partition('.')[0].startswith('pulumi') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False, cwd=Path("/")).returncode == 0
