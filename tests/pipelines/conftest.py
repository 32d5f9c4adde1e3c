"""One stack with v1 live, under the command line, for the tests that release onto it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.released import Released, quick_stack

from holdfast.children import tagged
from holdfast.infra.supervisor.unit import STACK_TAG
from holdfast.pipelines import releases, stacks


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Released]:
    """A stack with v1 live. Nothing of it is left afterwards."""
    folder = tmp_path_factory.mktemp("released")
    stack, home = quick_stack(folder), str(folder / "home")
    before = Path.cwd()
    os.chdir(folder)
    try:
        stacks.bring_up(stack, home)
        releases.build(stack, home, "v1")
        releases.deploy(stack, home, "v1", quiet=True)
        yield Released(stack=stack, home=home)
    finally:
        stacks.take_down(home)
        os.chdir(before)
    assert list(tagged(STACK_TAG, str(Path(home).resolve()))) == []
