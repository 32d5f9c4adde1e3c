"""A control plane, Pulumi's command line and a plugin for tests that talk to a real API server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.control_plane import control_plane
from support.kubectl import Kubectl
from support.pulumi_kubernetes.install import official, stand_in, which
from support.stack import ROOT

from holdfast.infra.automation.settings import Settings
from holdfast.infra.automation.verbs import Provisioner
from holdfast.infra.home import home_at
from holdfast.infra.program.model import EnvironmentName
from holdfast.infra.stack import load_stack
from holdfast.infra.targets.cluster.local.programs import build_tool
from holdfast.timeline import Event, Timeline


class Plane(NamedTuple):
    """An API server, and the plugin by which Pulumi talks to it: a folder for the front of PATH, empty for its own."""

    kubeconfig: Path
    plugins: str
    kubectl: Kubectl


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("plane")
    has_own = official(Path(os.environ.get("PULUMI_HOME", Path.home() / ".pulumi")))
    plugins = "" if has_own else str(stand_in(folder / "plugins"))
    if not shutil.which("pulumi"):
        os.environ["PATH"] = os.pathsep.join([str(build_tool(ROOT, "pulumi", print)), os.environ["PATH"]])
    print(f"plugin: {which(plugins) if plugins else has_own}")
    program = build_tool(ROOT, "kubernetes", print) / "kubectl"
    with control_plane(folder) as kubeconfig:
        yield Plane(kubeconfig, plugins, Kubectl(program, kubeconfig))


Provision = Callable[..., Provisioner]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def provision(plane: Plane, tmp_path: Path, events: list[Event]) -> Iterator[Provision]:
    """Makes a provisioner of a stack by name; everything that it made is taken away after the test."""
    made: list[Provisioner] = []

    def make(name: str, environment: EnvironmentName = "dev", **more: Any) -> Provisioner:
        (tmp_path / "run").mkdir(exist_ok=True)
        timeline = Timeline(tmp_path / "run" / "timeline.jsonl", listeners=(events.append,))
        settings = Settings(
            environment=environment, kubeconfig=str(plane.kubeconfig), plugins=plane.plugins, wait=False, **more
        )
        made.append(Provisioner(load_stack(name), home_at(tmp_path / "home"), settings, timeline=timeline))
        return made[-1]

    yield make
    for provisioner in made:
        provisioner.down()
