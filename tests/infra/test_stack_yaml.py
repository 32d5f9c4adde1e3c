"""A stack's YAML: every mistake is one line with the file and the path of the key."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.errors import ExitCode, UsageError
from holdfast.infra.stack import Stack, load_stack

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = yaml.safe_load((ROOT / "infra" / "stacks" / "sparkle.yaml").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    """The shipped stack with one key set, or removed where the value is Ellipsis."""
    data: dict[str, Any] = copy.deepcopy(SHIPPED)
    *way, last = path.split(".")
    at = data
    for key in way:
        at = at[key]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return data


@pytest.fixture
def prod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "infra" / "stacks").mkdir(parents=True)
    return tmp_path / "infra" / "stacks" / "prod.yaml"


def error_of(prod: Path, content: str) -> UsageError:
    prod.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_stack("prod")
    assert caught.value.code == ExitCode.USAGE
    return caught.value


def test_the_shipped_stack_is_read_by_its_name() -> None:
    stack = load_stack("sparkle")
    assert isinstance(stack, Stack)
    assert (stack.name, list(stack.services), stack.internal()) == ("sparkle", ["gateway", "engine"], ["engine"])
    assert stack.callers_of("engine") == ["gateway"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("services.engine.replicas", "two", "services.engine.replicas: expected int, got str"),
        ("services.engine.replicas", True, "services.engine.replicas: expected int, got bool"),
        ("services.engine.replicas", 0, "services.engine.replicas: expected 1 or more, got 0"),
        ("services.engine.replica", 2, "services.engine: it contains unknown field replica"),
        ("services.engine.ready.times", "x", "services.engine.ready.times: expected int, got str"),
        ("services.engine.ready.every", 1, "services.engine.ready: it contains unknown field every"),
        ("services.engine.protocol", "soap", "services.engine.protocol: Invalid enum value 'soap'"),
        ("services.engine.protocol", ..., "services.engine: Object missing required field protocol"),
        ("services.engine.env.SERVICE_HOST", 5, "services.engine.env.SERVICE_HOST: expected str, got int"),
        ("services.engine.authority", "", "services.engine.authority: expected a name, because other services call it"),
        ("services.engine", [], "services.engine: expected object, got array"),
        ("services", [], "services: expected object, got array"),
        ("stores.postgres.version", 9, "stores.postgres.version: Invalid enum value 9"),
        ("stores.postgres.size", 9, "stores.postgres: it contains unknown field size"),
        ("links.gateway→redis", {"from": "gateway", "to": "cache"}, "links.gateway→redis: cache is neither a service"),
        ("links.gateway→redis", {"from": "gateway"}, "links.gateway→redis: Object missing required field to"),
        ("edge.service", "door", "edge.service: door is not one of gateway, engine"),
        ("edge.timeout_s", "15", "edge.timeout_s: expected float, got str"),
        ("edge.streams", ["/a", 5], "edge.streams[1]: expected str, got int"),
        ("release.hold", 5, "release: it contains unknown field hold"),
        ("release.health.within_s", None, "release.health.within_s: expected float, got null"),
        ("migrations.store", "mysql", "migrations.store: mysql is not one of postgres, redis"),
        ("effects.store", "mysql", "effects.store: mysql is not one of postgres, redis"),
        ("surplus", 1, "it contains unknown field surplus"),
        ("name", ..., "Object missing required field name"),
        ("name", 5, "name: expected str, got int"),
    ],
)
def test_a_mistake_is_named_with_the_file_and_the_path_of_the_key(
    prod: Path, path: str, value: Any, message: str
) -> None:
    found = error_of(prod, yaml.safe_dump(changed(path, value), allow_unicode=True, sort_keys=False)).what
    assert found.startswith(f"infra/stacks/prod.yaml: {message}"), found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "infra/stacks/prod.yaml: expected a mapping, got nothing"),
        ("- a", "infra/stacks/prod.yaml: expected a mapping, got array"),
        ("a: [", "infra/stacks/prod.yaml is not valid YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(prod: Path, content: str, message: str) -> None:
    assert error_of(prod, content).what.endswith(message)


def test_an_unknown_stack_is_refused_with_those_that_exist(prod: Path) -> None:
    with pytest.raises(UsageError, match="there is no infra/stacks/other") as caught:
        load_stack("other")
    assert "sparkle" in caught.value.because
