"""What all components are: a named set of objects that registers each of them as its child, and tells their names."""

from __future__ import annotations

import base64
import importlib
import re
from collections.abc import Sequence
from typing import Any

import pulumi

from holdfast.infra.program.manifest import RELEASE_OWNS, Manifest, Sealed
from holdfast.infra.program.place import Place

CLASSES = {
    "apps/v1": ("Deployment", "StatefulSet"),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "batch/v1": ("CronJob", "Job"),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "policy/v1": ("PodDisruptionBudget",),
    "rbac.authorization.k8s.io/v1": ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
    "v1": (
        "ConfigMap",
        "LimitRange",
        "Namespace",
        "PersistentVolumeClaim",
        "ResourceQuota",
        "Secret",
        "Service",
        "ServiceAccount",
    ),
}
"""The kinds that Pulumi's Kubernetes package has a class for; others were added to the API by somebody."""


class Component(pulumi.ComponentResource):
    """A set of objects under one name, `NAMESPACE/name`. Its output `objects` lists them as `Kind/name`."""

    def __init__(
        self, token: str, name: str, place: Place, made: Sequence[Manifest], opts: pulumi.ResourceOptions | None
    ) -> None:
        super().__init__(token, f"{place.namespace}/{name}", None, opts)
        self.objects = [register(manifest, self) for manifest in made]
        self.register_outputs({"objects": [shown(manifest) for manifest in made]})


def register(manifest: Manifest, parent: pulumi.Resource) -> pulumi.CustomResource:
    """Register one object as a child. Its sealed values are opened here; what a release owns is left alone."""
    metadata = manifest["metadata"]
    owned = metadata.get("annotations", {}).get(RELEASE_OWNS, "")
    opts = pulumi.ResourceOptions(parent=parent, ignore_changes=owned.split(",") if owned else None)
    body = {key: opened(value) for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    api, kind = manifest["apiVersion"], manifest["kind"]
    name = "/".join([metadata.get("namespace", "cluster"), shown(manifest)])
    if kind not in CLASSES.get(api, ()):
        made = _package("apiextensions").CustomResource(name, api_version=api, kind=kind, **body, opts=opts)
    else:
        made = getattr(_module(api), kind)(name, **{_snake(key): value for key, value in body.items()}, opts=opts)
    assert isinstance(made, pulumi.CustomResource)  # noqa: S101 - for the reader and for mypy: the package is untyped
    return made


def shown(manifest: Manifest) -> str:
    """`Kind/name`."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def opened(value: Any) -> Any:
    """A copy of plain data in which each sealed value is a secret output, in base 64 as Secrets want it."""
    match value:
        case Sealed():
            return pulumi.Config().require_secret(value.key).apply(lambda text: _encoded(value.form, text))
        case dict():
            return {key: opened(entry) for key, entry in value.items()}
        case list() | tuple():
            return [opened(entry) for entry in value]
        case _:
            return value


def _encoded(form: str, text: str) -> str:
    return base64.b64encode(form.replace("{}", text).encode()).decode()


def _module(api: str) -> Any:
    """The package's module of an API version: apps/v1 → apps.v1, v1 → core.v1."""
    group, _, version = api.rpartition("/")
    return _package(f"{group.partition('.')[0] or 'core'}.{version}")


def _package(name: str) -> Any:
    return importlib.import_module(f"pulumi_kubernetes.{name}")


def _snake(key: str) -> str:
    """The package's Python name of a field: roleRef → role_ref."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f"_{found[1].lower()}", key)
