"""The Pulumi program: it reads which stack and environment, checks all manifests, registers all components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

import msgspec
import pulumi
import pulumi_kubernetes

from holdfast.errors import UsageError
from holdfast.infra.policy import checks, hook
from holdfast.infra.program.assembly import manifests, pieces
from holdfast.infra.program.desired import Desired, first
from holdfast.infra.program.model import EnvironmentName, RegionName
from holdfast.infra.program.place import cluster_of, environment_of
from holdfast.infra.stack import Stack, load_stack


def main() -> None:
    """What `pulumi up` in infra/ runs: the Pulumi stack's name is STACK-ENVIRONMENT, such as sparkle-staging."""
    name, environment = read_name(pulumi.get_stack())
    stack = load_stack(pulumi.Config().get("stack") or name)
    text = pulumi.Config().get("desired")
    desired = msgspec.json.decode(text, type=Desired) if text else first(stack)
    provision(stack, environment, desired, wait=pulumi.Config().get_bool("wait") is not False)


def provision(stack: Stack, environment: EnvironmentName, desired: Desired, *, wait: bool = True) -> None:
    """Check everything, then register everything, in each region of the environment. Raises PolicyError before."""
    checks.require(made for listed in manifests(stack, environment, desired, wait=wait).values() for made in listed)
    hook.install()
    counted = 0
    for region in environment_of(stack, environment).regions:
        counted += _region(stack, environment, region, desired, wait=wait)
    pulumi.export("objects", counted)


def _region(stack: Stack, environment: EnvironmentName, region: RegionName, desired: Desired, *, wait: bool) -> int:
    """Register a region's components by the region's own provider; nothing before its namespace."""
    context = cluster_of(stack).regions[region].context
    provider = pulumi_kubernetes.Provider(region, context=context or None)
    listed: Sequence[pulumi.Resource] = []
    counted = 0
    for piece in pieces(stack, environment, region, desired, wait=wait):
        opts = pulumi.ResourceOptions(provider=provider, depends_on=listed)
        made = piece.register(opts)
        counted += len(made.objects)
        listed = [*listed, made] if piece.name == "namespace" or piece.name.startswith("tenant-") else listed
    return counted


def read_name(name: str) -> tuple[str, EnvironmentName]:
    """sparkle-staging → (sparkle, staging)."""
    stack, _, environment = name.rpartition("-")
    known = get_args(EnvironmentName)
    if not stack or environment not in known:
        raise UsageError(
            f"{name} is not a name of a Pulumi stack of holdfast",
            because=f"it must be STACK-ENVIRONMENT, and the environments are {', '.join(known)}",
            way_out="pulumi stack init sparkle-dev",
        )
    return stack, cast(EnvironmentName, environment)
