"""One stack of one instance a service and color for all kills; each test finds a release that is live and promoted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stack import VERSIONS, Sparkle, quick_stack, releases_of, sparkle

REPLICAS = 1


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return releases_of(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="session")
def crash_stack(tmp_path_factory: pytest.TempPathFactory, releases: Path) -> Iterator[Sparkle]:
    with sparkle(tmp_path_factory.mktemp("crash"), releases, stack=quick_stack(REPLICAS)) as stack:
        stack.desk().deploy("v1")  # with the real schema: the effects need their table
        yield stack


@pytest.fixture
def stack(crash_stack: Sparkle) -> Iterator[Sparkle]:
    """A release is live, nothing is open or held."""
    crash_stack.settle()
    yield crash_stack
    crash_stack.settle()


@pytest.fixture
def origin(stack: Sparkle) -> str:
    return stack.live_version()


@pytest.fixture
def version(origin: str) -> str:
    return next(version for version in VERSIONS if version != origin)
