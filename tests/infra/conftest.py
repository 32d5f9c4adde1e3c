"""A supervisor with units of a line or two, and one whole stack for all tests that leave it as they found it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.stack import Sparkle, nothing_left, releases_of, sparkle

from holdfast.children import identify
from holdfast.infra.supervisor.client import SupervisorClient
from holdfast.infra.supervisor.unit import Unit

UnitOf = Callable[..., Unit]

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


@pytest.fixture
def supervisor(home: Path) -> Iterator[SupervisorClient]:
    """A supervisor of this test; nothing of it is left afterwards."""
    client = SupervisorClient(home, owner=identify(os.getpid()))
    client.ensure()
    yield client
    if client.running():
        client.shutdown()
    nothing_left(home)


@pytest.fixture
def unit(home: Path) -> UnitOf:
    """Describe a unit: `unit("name", "python code", grace=…)`."""

    def make(name: str, code: str = SLEEP, **given: object) -> Unit:
        argv = [sys.executable, "-P", "-S", "-c", code]
        return Unit(name=name, argv=argv, env={}, log=str(home / "logs" / f"{name}.log"), **given)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once: v1, v2, v3."""
    return releases_of(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, releases: Path) -> Iterator[Sparkle]:
    with sparkle(tmp_path_factory.mktemp("sparkle"), releases) as stack:
        stack.desk().deploy("v1")
        yield stack


@pytest.fixture
def stack(shared: Sparkle) -> Iterator[Sparkle]:
    """The shared stack with v1 live; a test that leaves it otherwise fails."""
    before = shared.normal()
    yield shared
    assert shared.normal() == before
