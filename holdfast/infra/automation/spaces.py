"""The namespaces of a stack's environment, what runs there now, and what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.automation.settings import Settings
from holdfast.infra.program.assembly import manifests
from holdfast.infra.program.desired import Desired
from holdfast.infra.program.manifest import Manifest
from holdfast.infra.program.model import EnvironmentName, RegionName
from holdfast.infra.program.place import cluster_of
from holdfast.infra.stack import COLORS, Stack
from holdfast.infra.targets.cluster.api import Api, Away, Object

REACH_S = 8.0
"""How long an API server may take to answer before anything is begun."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a namespace at one moment; `warnings` are its events, the newest last.

    `classes` are the cluster's storage classes; None: these credentials may not see them.
    """

    pods: list[Object] = []
    claims: list[Object] = []
    deployments: list[Object] = []
    replica_sets: list[Object] = []
    stateful_sets: list[Object] = []
    jobs: list[Object] = []
    warnings: list[Object] = []
    classes: list[Object] | None = []


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace in a region, and the API server that it is at."""

    region: str
    namespace: str
    api: Api

    def look(self) -> Seen:
        """Everything that tells why a pod does not run."""
        return Seen(
            pods=self.api.list("Pod"),
            claims=self.api.list("PersistentVolumeClaim"),
            deployments=self.api.list("Deployment"),
            replica_sets=self.api.list("ReplicaSet"),
            stateful_sets=self.api.list("StatefulSet"),
            jobs=self.api.list("Job"),
            warnings=sorted(self.api.list("Event", fields="type=Warning"), key=_when),
            classes=self._classes(),
        )

    def _classes(self) -> list[Object] | None:
        try:
            return self.api.list("StorageClass")
        except Away:
            raise
        except EnvironmentFailed:
            return None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that is asked for, and the images of its containers."""

    namespace: str
    kind: str
    name: str
    images: list[str]
    replicas: int

    @property
    def object(self) -> str:
        """NAMESPACE/Kind/name."""
        return f"{self.namespace}/{self.kind}/{self.name}"


def namespaces_of(stack: Stack, environment: EnvironmentName) -> dict[str, RegionName]:
    """The namespaces of an environment, each with its region."""
    made = manifests(stack, environment, Desired())
    found = {
        manifest["metadata"].get("namespace", ""): region for region, listed in made.items() for manifest in listed
    }
    return {namespace: region for namespace, region in found.items() if namespace}


def spaces_of(stack: Stack, settings: Settings) -> list[Space]:
    """The namespaces of an environment with their API servers. Nobody is asked."""
    contexts = {region: plan.context for region, plan in cluster_of(stack).regions.items()}
    return [
        Space(region=region, namespace=name, api=Api(settings.kubeconfig, name, context=contexts[region]))
        for name, region in namespaces_of(stack, settings.environment).items()
    ]


def refuse_unreachable(api: Api, was_up: bool) -> None:
    """Raise Refused when the API server does not answer: nothing was begun. `was_up`: the stack was there before."""
    patience, api.patience = api.patience, REACH_S
    try:
        api.text("/version")
    except Away as error:
        raise Refused(
            "the cluster does not answer",
            because=error.because,
            way_out="see that it is up and that the kubeconfig is the right one: kubectl get --raw /version"
            + ("; if it is gone for good: holdfast down --gone" if was_up else ""),
        ) from error
    finally:
        api.patience = patience


def wanted(stack: Stack, environment: EnvironmentName, desired: Desired) -> list[Wanted]:
    """All workloads that an environment asks for, but a service's color that has no traffic: it is a release's."""
    idle = {f"{name}-{color}" for name in stack.services for color in COLORS if color != desired.live(name)}
    made = [manifest for region in manifests(stack, environment, desired).values() for manifest in region]
    return [found for manifest in made for found in _workload(manifest) if found.name not in idle]


def _when(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _workload(manifest: Manifest) -> Iterator[Wanted]:
    spec: dict[str, Any] = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    if "template" not in spec:
        return
    pod, metadata = spec["template"]["spec"], manifest["metadata"]
    images = [entry["image"] for key in ("initContainers", "containers") for entry in pod.get(key, [])]
    yield Wanted(
        namespace=metadata["namespace"],
        kind=manifest["kind"],
        name=metadata["name"],
        images=sorted(set(images)),
        replicas=int(spec.get("replicas", 1)),
    )
