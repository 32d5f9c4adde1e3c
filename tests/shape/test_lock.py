"""requirements.lock holds what pyproject.toml asks for, hashed, and names no host."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from shape.tree import REPOSITORY, plant


class Pin(NamedTuple):
    """One package of the lock."""

    version: str
    hashes: int
    direct: bool
    """pyproject.toml itself asks for it."""


def wanted(root: Path) -> dict[str, Requirement]:
    """All requirements of pyproject.toml, those of the extras too."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, texts)}


def pinned(lock: str) -> dict[str, Pin]:
    """The packages of a lock."""
    blocks = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    return dict(_pin(block) for block in blocks)


def _pin(block: str) -> tuple[str, Pin]:
    name, version = block.split(maxsplit=1)[0].split("==")
    return canonicalize_name(name), Pin(version, block.count("--hash=sha256:"), "holdfast (pyproject.toml)" in block)


def violations(root: Path) -> Iterator[str]:
    """How a tree's lock and pyproject.toml differ, and what the lock must not hold."""
    text = (root / "requirements.lock").read_text()
    requirements, pins = wanted(root), pinned(text)
    for name, requirement in requirements.items():
        if name not in pins:
            yield f"{name} is not locked"
        elif not requirement.specifier.contains(pins[name].version):
            yield f"{name} is locked at {pins[name].version}, but {requirement} is wanted"
    yield from (
        f"{name} is locked, but nothing asks for it"
        for name, pin in pins.items()
        if pin.direct and name not in requirements
    )
    yield from (f"{name} has no hash" for name, pin in pins.items() if not pin.hashes)
    yield from (f"the lock holds {word}" for word in ("://", "--index-url", "--find-links") if word in text)


def test_the_lock_matches_pyproject() -> None:
    assert list(violations(REPOSITORY)) == [], "run scripts/lib/lock"


def test_planted_differences_between_lock_and_pyproject_are_found(tmp_path: Path) -> None:
    project = '[project]\ndependencies = ["click>=8.2", "rich"]\noptional-dependencies = {dev = ["py-test[x]>=9"]}\n'
    lock = """# a comment
click==8.1 \\
    --hash=sha256:00
    # via holdfast (pyproject.toml)
httpx==1.0
    # via holdfast (pyproject.toml)
py-test==9.1 ; sys_platform != 'win32' \\
    --hash=sha256:00
    # via holdfast (pyproject.toml)
--index-url https://example.test/simple
"""
    found = list(violations(plant(tmp_path, {"pyproject.toml": project, "requirements.lock": lock})))
    assert found == [
        "click is locked at 8.1, but click>=8.2 is wanted",
        "rich is not locked",
        "httpx is locked, but nothing asks for it",
        "httpx has no hash",
        "the lock holds ://",
        "the lock holds --index-url",
    ]
