"""The cluster's programs: versions agree with each other, missing packages are named, progress says how long."""

import re
import shutil
from pathlib import Path

import pytest
from support.stack import ROOT

from holdfast.errors import Refused
from holdfast.infra.images.pause import NAME
from holdfast.infra.targets.cluster.local import programs
from holdfast.infra.targets.cluster.local.layout import PAUSE_IMAGE


def kubernetes(name: str) -> str:
    return (ROOT / "tools" / "kubernetes" / name).read_text()


def version() -> str:
    found = re.search(r"k8s\.io/kubernetes v(\S+)", kubernetes("go.mod"))
    assert found
    return found[1]


def test_kubernetes_is_linked_with_the_version_that_is_pinned() -> None:
    major, minor, _ = version().split(".", 2)
    flags = kubernetes("flags")
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert f"-X {package}.gitVersion={{version}}" in flags
        assert f"-X {package}.gitMajor={major} " in flags
        assert f"-X {package}.gitMinor={minor} " in flags


def test_every_module_of_kubernetes_is_of_one_version() -> None:
    replaced = re.findall(r"k8s\.io/\S+ => k8s\.io/\S+ v0\.(\S+)", kubernetes("go.mod"))
    assert len(replaced) == 31
    assert {f"1.{minor_and_patch}" for minor_and_patch in replaced} == {version()}


def test_every_program_has_its_line_in_a_go_mod_and_an_estimate() -> None:
    for tool, binaries in programs.TOOL_PROGRAMS.items():
        go_mod = (ROOT / "tools" / tool / "go.mod").read_text()
        for binary in binaries.values():
            assert re.search(rf"/{binary}$", go_mod, re.MULTILINE), f"{tool}: {binary}"
            assert binary in programs.COLD_SECONDS


def test_progress_of_a_build_says_what_is_left() -> None:
    said = programs.progress("building k8s.io/kubernetes/cmd/kubelet v1.34.4")
    assert said.startswith("building kubelet v1.34.4 (about 30 s")
    assert programs.progress("building example.org/other v1.0.0") == "building other v1.0.0"


def test_packages_whose_programs_are_missing_are_named_once() -> None:
    wanted = {"sh": "dash", "no-such-program": "package-b", "no-such-other": "package-b"}
    assert programs.debian_packages(wanted) == ["package-b"]


def test_without_apt_get_the_refusal_gives_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "search_path", lambda: str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(Refused) as refused:
        programs.install_debian({"runc": "runc"}, lambda text: None)
    assert "apt-get install -y --no-install-recommends runc" in refused.value.way_out


def test_outside_of_a_checkout_the_refusal_names_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be built here") as refused:
        programs.build_tool(tmp_path, "etcd", lambda text: None)
    assert "KUBECONFIG" in refused.value.way_out


def test_the_runtime_asks_for_the_pause_image_by_the_name_that_it_is_loaded_by() -> None:
    assert PAUSE_IMAGE == NAME
