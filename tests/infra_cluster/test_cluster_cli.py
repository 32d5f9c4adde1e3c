"""scripts/cluster on a machine without a cluster: what it answers, and what it will not touch."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.stack import ROOT

from holdfast.infra.targets.cluster.local import __main__ as command
from holdfast.infra.targets.cluster.local.layout import Layout, default_layout


def cluster(state: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/cluster with a state folder of the test's own."""
    plain = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    return subprocess.run(
        [str(ROOT / "scripts" / "cluster"), *args],
        env=plain | {"XDG_STATE_HOME": str(state)} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_a_cluster_the_status_is_down_and_the_exit_code_says_so(tmp_path: Path) -> None:
    found = cluster(tmp_path, "status", "--json")
    assert found.returncode == 1
    assert json.loads(found.stdout)["state"] == "down"


def test_without_a_cluster_there_is_no_kubeconfig_and_the_way_out_is_up(tmp_path: Path) -> None:
    found = cluster(tmp_path, "kubeconfig")
    assert found.returncode == 4
    assert "way out: scripts/cluster up" in found.stderr
    assert found.stdout == ""


def test_a_kubeconfig_of_the_owners_is_the_one_that_is_named(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("kind: Config\n")
    assert cluster(tmp_path, "kubeconfig", KUBECONFIG=str(mine)).stdout == f"{mine}\n"
    assert cluster(tmp_path, "kubeconfig", "--raw", KUBECONFIG=str(mine)).stdout == "kind: Config\n"


@pytest.mark.parametrize(("kubectl_ends", "code", "said"), [(0, 0, "nothing was started"), (1, 3, "does not answer")])
def test_up_asks_the_owners_cluster_whether_it_answers_and_starts_nothing(
    tmp_path: Path, kubectl_ends: int, code: int, said: str
) -> None:
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(f"#!/bin/sh\necho no route to host >&2\nexit {kubectl_ends}\n")
    kubectl.chmod(0o755)
    path = f"{kubectl.parent}:{os.environ['PATH']}"
    found = cluster(tmp_path / "state", "up", KUBECONFIG=str(tmp_path / "mine.yaml"), PATH=path)
    assert found.returncode == code
    assert said in found.stderr
    assert not (tmp_path / "state").exists()


def test_an_unknown_verb_is_a_usage_error(tmp_path: Path) -> None:
    assert cluster(tmp_path, "destroy").returncode == 2


def test_our_own_kubeconfig_in_kubeconfig_is_not_a_foreign_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(layout.kubeconfig))
    assert command.foreign_kubeconfig(layout) == ""
    monkeypatch.setenv("KUBECONFIG", "/elsewhere")
    assert command.foreign_kubeconfig(layout) == "/elsewhere"


def test_the_state_lies_in_the_folder_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_layout().root == tmp_path / "holdfast" / "cluster"


@pytest.mark.parametrize("verb", ["up", "down", "image"])
def test_without_root_it_is_refused_before_anything_is_done(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(sys, "argv", ["scripts/cluster", verb])
    assert command.main() == 4
    assert "way out: run it as root" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()
