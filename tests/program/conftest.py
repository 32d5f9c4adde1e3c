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
from support.pulumi_kubernetes.install import stand_in, which
from support.stack import ROOT

from holdfast.infra.automation.settings import Settings
from holdfast.infra.automation.verbs import Changes, Provisioner
from holdfast.infra.home import home_at
from holdfast.infra.program.model import EnvironmentName
from holdfast.infra.stack import load_stack
from holdfast.infra.targets.cluster.access import official_plugin
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
    has_own = official_plugin()
    plugins = "" if has_own else str(stand_in(folder / "plugins"))
    if not shutil.which("pulumi"):
        os.environ["PATH"] = os.pathsep.join([str(build_tool(ROOT, "pulumi", print)), os.environ["PATH"]])
    print(f"plugin: {which(plugins) if plugins else has_own}")
    program = build_tool(ROOT, "kubernetes", print) / "kubectl"
    with control_plane(folder) as kubeconfig:
        yield Plane(kubeconfig, plugins, Kubectl(program, kubeconfig))


Provision = Callable[..., Provisioner]


def provisioner(
    plane: Plane, folder: Path, name: str, events: list[Event], environment: EnvironmentName = "dev", **more: Any
) -> Provisioner:
    """A stack's half on the plane, with its home and its timeline in a folder; nobody waits for pods."""
    (folder / "run").mkdir(exist_ok=True)
    timeline = Timeline(folder / "run" / "timeline.jsonl", listeners=(events.append,))
    kubeconfig = str(plane.kubeconfig)
    settings = Settings(environment=environment, kubeconfig=kubeconfig, plugins=plane.plugins, wait=False, **more)
    return Provisioner(load_stack(name), home_at(folder / "home"), settings, timeline=timeline)


class Standing(NamedTuple):
    """Sage in dev, up: what its `up` said, and the events of it."""

    stack: Provisioner
    up: Changes
    events: list[Event]


@pytest.fixture(scope="module")
def standing(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    events: list[Event] = []
    stack = provisioner(plane, tmp_path_factory.mktemp("standing"), "sage", events)
    up = stack.up()
    yield Standing(stack, up, list(events))
    stack.down()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def provision(plane: Plane, tmp_path: Path, events: list[Event]) -> Iterator[Provision]:
    """Makes a provisioner of a stack by name; everything that it made is taken away after the test."""
    made: list[Provisioner] = []

    def make(name: str, environment: EnvironmentName = "staging", **more: Any) -> Provisioner:
        made.append(provisioner(plane, tmp_path, name, events, environment, **more))
        return made[-1]

    yield make
    for stack in made:
        stack.down()
