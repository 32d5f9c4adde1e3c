"""A misbehaving server, a run directory, and plans for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.load import Loaded, PlanOf, Server, serving

from holdfast.ledger import Request, read_ledger
from holdfast.load.plan import LoadPlan
from holdfast.load.profile import Profile
from holdfast.load.worker import run_load
from holdfast.run import Run, open_run


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = open_run(tmp_path, command="test", seed=7)
    yield run
    run.close()


@pytest.fixture
def plan_of(run: Run) -> PlanOf:
    """Make a plan: `plan_of(url, mix={…}, rate=…, duration=…, …)`."""

    def make(url: str, mix: dict[str, dict[str, Any]], *, drain: float = 5, **given: Any) -> LoadPlan:
        rate, headers, stream = given.pop("rate", 100), given.pop("headers", {}), given.pop("stream", "main")
        profile = {"name": "test", "arrivals": {"kind": given.pop("kind", "constant"), "rate": rate}}
        profile |= {"duration": "200ms", "timeout": "2s", "mix": mix} | given
        return LoadPlan(
            stream=stream,
            url=url,
            profile=msgspec.convert(profile, Profile),
            run_dir=str(run.path),
            run_id=run.id,
            seed=run.info.seed,
            headers=headers,
            drain=drain,
        )

    return make


@pytest.fixture
def loaded(server: Server, run: Run, plan_of: PlanOf) -> Loaded:
    """Load one route of the server in this process and return its requests: `loaded("/plain", kind="http", …)`."""

    def load(path: str, *, route: dict[str, Any] | None = None, **given: Any) -> list[Request]:
        mix = {"route": {"kind": "http", "path": path, **(route or {})}}
        run_load(plan_of(server.url, mix, **given))
        return read_ledger(run.path / "ledger.jsonl")

    return load
