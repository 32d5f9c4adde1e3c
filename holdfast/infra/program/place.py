"""Where a part goes: stack, environment, region and namespace, and the labels that follow from them."""

from __future__ import annotations

import msgspec

from holdfast.errors import UsageError
from holdfast.infra.program.model import Cluster, Environment, EnvironmentName, RegionName
from holdfast.infra.stack import Stack


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace with all that its objects have in common. `one`: a single instance of everything is wanted."""

    stack: str
    environment: str
    region: str
    namespace: str
    owner: str
    one: bool = False
    storage_class: str = ""
    pull: str = "IfNotPresent"
    wait: bool = True
    follows: dict[str, str] = {}

    def labels(self, part: str) -> dict[str, str]:
        """The labels of every object of a part."""
        return {
            **self.selector(part),
            "app.kubernetes.io/managed-by": "holdfast",
            "holdfast/owner": self.owner,
            "holdfast/environment": self.environment,
            "holdfast/region": self.region,
        }

    def selector(self, part: str) -> dict[str, str]:
        """The labels by which a part's pods are known."""
        return {"app.kubernetes.io/name": part, "app.kubernetes.io/part-of": self.stack}

    def host(self, service: str) -> str:
        """The DNS name of a Service in this namespace."""
        return f"{service}.{self.namespace}.svc"

    def count(self, wanted: int) -> int:
        """How many instances of something run here."""
        return 1 if self.one else wanted


def cluster_of(stack: Stack) -> Cluster:
    """The cluster's half of a stack. Raises UsageError when it has none."""
    if stack.cluster is None:
        raise UsageError(
            f"stack {stack.name} has no half for a cluster",
            because="its YAML has no field `cluster`",
            way_out=f"add one to infra/stacks/{stack.name}.yaml; docs/kubernetes.md says what it holds",
        )
    return stack.cluster


def environment_of(stack: Stack, environment: EnvironmentName) -> Environment:
    """The plan of an environment. Raises UsageError when the stack has no such environment."""
    environments = cluster_of(stack).environments
    if environment not in environments:
        raise UsageError(
            f"stack {stack.name} has no environment {environment}",
            because=f"its YAML names {', '.join(environments) or 'none'}",
            way_out="name one of those, or add it under cluster.environments",
        )
    return environments[environment]


def place_of(
    stack: Stack, environment: EnvironmentName, region: RegionName, *, wait: bool = True, tenant: str = ""
) -> Place:
    """The place of a stack's environment in a region, or of a tenant in it."""
    cluster, plan = cluster_of(stack), environment_of(stack, environment)
    return Place(
        stack=stack.name,
        environment=environment,
        region=region,
        namespace=namespace_of(stack.name, environment, region, tenant),
        owner=cluster.owner,
        one=plan.size == "one",
        storage_class=plan.storage_class,
        pull=cluster.pull,
        wait=wait,
        follows=cluster.regions[region].follows,
    )


def namespace_of(stack: str, environment: EnvironmentName, region: RegionName, tenant: str = "") -> str:
    """sparkle-staging; sparkle-prod-secondary; sparkle-prod-tenant-acme."""
    words = [stack, environment, *([] if region == "primary" else [region]), *(["tenant", tenant] if tenant else [])]
    return "-".join(words)
