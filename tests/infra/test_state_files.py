"""A state file that something else has changed is one refusal that names it, and its way out leads out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.stack import nothing_left, quick_stack, refusal

from holdfast.children import identify
from holdfast.infra.home import Home
from holdfast.infra.targets.local.state import read_state
from holdfast.infra.targets.local.target import LocalTarget


@pytest.fixture
def target(tmp_path: Path) -> Iterator[LocalTarget]:
    """A stack that was prepared once, and runs nothing."""
    home = Home(tmp_path / "home")
    found = LocalTarget(quick_stack(1), home, owner=identify(os.getpid()))
    found.provision.prepare(links_argv=None, new_ports=False)
    (home.state / "colors.json").write_text("{}")
    yield found
    nothing_left(home.root)


READERS: dict[str, Callable[[LocalTarget], object]] = {
    "ports.json": lambda target: target.provision.port("edge"),
    "links.json": lambda target: target.provision.links(),
    "secrets.json": lambda target: target.provision.store_dsn("postgres"),
    "colors.json": lambda target: target.started_in("engine", "blue"),
}


@pytest.mark.parametrize("content", [b"{", b"", b"[1]", b'{"links": [5]}', b"\xff\xfe"])
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_state_file_is_refused_by_name(target: LocalTarget, name: str, content: bytes) -> None:
    path = target.home.state / name
    READERS[name](target)
    path.write_bytes(content)
    refused = refusal(lambda: READERS[name](target))
    assert refused.what == f"the state file {path} cannot be read"
    assert refused.because
    assert "holdfast up" in refused.way_out


def test_a_state_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    refused = refusal(lambda: read_state(tmp_path / "folder.json", dict, way_out="remove it"))
    assert (refused.because, refused.way_out) == ("Is a directory", "remove it")


def test_new_ports_are_the_way_out_of_damaged_ports(target: LocalTarget) -> None:
    (target.home.state / "ports.json").write_text("{")
    assert "--new-ports" in refusal(target.up).way_out
    target.provision.prepare(links_argv=None, new_ports=True)
    ports = {f"127.0.0.1:{port}" for port in target.provision._ports().values()}
    assert {link.listen for link in target.provision.links().links} <= ports


def test_direct_links_are_the_way_out_of_a_damaged_link_table(target: LocalTarget) -> None:
    before = target.provision.links()
    (target.home.state / "links.json").write_text("{")
    assert "--direct-links" in refusal(target.up).way_out
    target.provision.prepare(links_argv=[], new_ports=False)
    assert target.provision.links().links == before.links
