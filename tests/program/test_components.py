"""What the program registers with Pulumi, seen by mocks: components by their rules, secrets sealed, the hook awake."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from support.cluster_plan import STACKS, both_colors, objects
from support.mocked import Registered, run

from holdfast.errors import Refused, UsageError
from holdfast.infra.policy import hook
from holdfast.infra.program import main
from holdfast.infra.program.assembly import manifests, pieces, sealed_names
from holdfast.infra.program.component import Component, shown
from holdfast.infra.stack import load_stack

SECRET = "4dabf18193072939515e22adb298388d"
"""The mark of a secret on Pulumi's wire."""


def registered(name: str) -> list[Registered]:
    stack = load_stack(name)
    desired = both_colors(stack)
    names = sealed_names(manifests(stack, "prod", desired))
    config = {key: f"open-{key}" for key in names}
    return run(lambda: main.provision(stack, "prod", desired), config, f"{name}-prod")


@pytest.mark.parametrize("name", STACKS)
def test_every_object_of_a_stack_is_registered_once_as_it_was_built(name: str) -> None:
    found = {entry.name for entry in registered(name) if entry.token.startswith("kubernetes:")}
    wanted = {f"{made['metadata'].get('namespace', 'cluster')}/{shown(made)}" for made in objects(name, "prod")}
    assert found == wanted


def test_each_kind_of_component_has_a_token_of_its_own_and_takes_options() -> None:
    kinds = {piece.component for name in STACKS for piece in all_pieces(name)}
    tokens = {kind: re.findall(r'"(holdfast:infra:\w+)"', inspect.getsource(kind)) for kind in kinds}
    assert len(kinds) >= 20
    assert {kind.__name__ for kind, found in tokens.items() if found != [f"holdfast:infra:{kind.__name__}"]} == set()
    assert {kind.__name__ for kind in kinds if "opts" not in inspect.signature(kind).parameters} == set()


def all_pieces(name: str) -> list[Any]:
    stack = load_stack(name)
    return list(pieces(stack, "prod", "primary", both_colors(stack)))


def test_components_register_their_outputs_last_and_children_have_them_as_parent() -> None:
    source = inspect.getsource(Component.__init__)
    assert source.rstrip().splitlines()[-1].strip().startswith("self.register_outputs(")
    seen: list[tuple[str, str]] = []

    def program() -> None:
        def note(args: pulumi.ResourceTransformationArgs) -> None:
            parent = args.opts.parent
            seen.append((args.type_, type(parent).__name__ if parent else ""))

        pulumi.runtime.register_stack_transformation(note)
        stack = load_stack("sage")
        for piece in pieces(stack, "staging", "primary", both_colors(stack)):
            piece.register(pulumi.ResourceOptions())

    run(program, {"postgres-password": "x", "monitoring-grafana-password": "x"})
    parents = {parent for kind, parent in seen if kind.startswith("kubernetes:")}
    assert parents == {"Tenant", "Network", "Postgres", "Monitoring", "ColoredService", "Edge", "Drills"} - {"Edge"}


def test_secrets_reach_pulumi_sealed_and_nothing_else_holds_them() -> None:
    for entry in registered("macjarvis"):
        if entry.token == "kubernetes:core/v1:Secret":
            assert entry.inputs["data"][SECRET] == "1b47061264138c4ac30d75fd1eb44270"
        elif entry.token.startswith("kubernetes:"):
            assert "open-" not in repr(entry.inputs), entry.name


def test_what_a_release_writes_is_ignored_by_an_up() -> None:
    kept: dict[str, list[str]] = {}

    def program() -> None:
        def note(args: pulumi.ResourceTransformationArgs) -> None:
            if args.opts.ignore_changes:
                kept[args.name] = args.opts.ignore_changes

        pulumi.runtime.register_stack_transformation(note)
        stack = load_stack("sparkle")
        for piece in pieces(stack, "staging", "primary", both_colors(stack)):
            if piece.name in ("gateway", "edge"):
                piece.register(pulumi.ResourceOptions())

    run(program, {"redis-password": "x", "postgres-password": "x"})
    space = "sparkle-staging"
    assert kept == {
        f"{space}/Service/gateway": ["spec.selector"],
        f"{space}/Deployment/gateway-blue": ["spec.replicas"],
        f"{space}/Deployment/gateway-green": ["spec.replicas"],
        f"{space}/HorizontalPodAutoscaler/gateway-blue": ["spec.minReplicas", "spec.maxReplicas"],
        f"{space}/HorizontalPodAutoscaler/gateway-green": ["spec.minReplicas", "spec.maxReplicas"],
        f"{space}/ConfigMap/edge-routes": ["data"],
    }


def test_an_object_that_somebody_else_adds_to_the_program_is_checked_too() -> None:
    def program() -> None:
        hook.install()
        kubernetes.apps.v1.Deployment(
            "mine", metadata={"name": "mine"}, spec={"template": {"spec": {"containers": []}}}
        )

    with pytest.raises(Refused) as found:
        run(program)
    assert "Deployment/mine: it has no label holdfast/owner" in found.value.because


def test_a_broken_stack_registers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before: list[str] = []
    monkeypatch.setattr(main, "_region", lambda *args, **more: before.append("registered"))
    monkeypatch.setattr("holdfast.infra.program.colored_service.image_of", lambda *args: "gateway:latest")
    stack = load_stack("sparkle")
    with pytest.raises(Refused, match="break the policy"):
        run(lambda: main.provision(stack, "dev", both_colors(stack)))
    assert before == []


def test_the_name_of_a_pulumi_stack_says_stack_and_environment() -> None:
    assert main.read_name("my-stack-prod") == ("my-stack", "prod")
    with pytest.raises(UsageError, match="sparkle is not a name"):
        main.read_name("sparkle")


def test_a_provider_for_each_region() -> None:
    providers = [entry.name for entry in registered("macjarvis") if entry.token == "pulumi:providers:kubernetes"]
    assert providers == ["primary", "secondary"]
