"""The names of the headers that edge, load and services must agree on: fixed, and the same everywhere."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml
from services.engine import call
from services.gateway import ask

from holdfast.errors import UsageError
from holdfast.infra.edge import routes
from holdfast.infra.stack import Edge, parse_stack
from holdfast.load import plan, request

SPARKLE = Path(__file__).resolve().parents[2] / "infra" / "stacks" / "sparkle.yaml"


def test_the_preview_header_has_one_name() -> None:
    assert {plan.PREVIEW_HEADER, ask.PREVIEW} == {routes.PREVIEW_HEADER}


def test_the_idempotency_header_has_one_name() -> None:
    assert {request.IDEMPOTENCY_HEADER, call.IDEMPOTENCY_KEY} == {routes.IDEMPOTENCY_HEADER}


@pytest.mark.parametrize("key", ["preview_header", "idempotency_header"])
def test_a_stack_cannot_rename_them(key: str) -> None:
    assert key not in msgspec.structs.asdict(Edge(service="gateway"))
    data = yaml.safe_load(SPARKLE.read_text())
    data["edge"][key] = "x-other"
    with pytest.raises(UsageError, match=f"edge: it contains unknown field {key}"):
        parse_stack(data, "sparkle.yaml")
