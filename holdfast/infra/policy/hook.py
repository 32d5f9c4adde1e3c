"""The hook into Pulumi: every Kubernetes object is checked as it is registered, whoever made it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.runtime import register_stack_transformation

from holdfast.infra.policy import checks, colors
from holdfast.infra.policy.manifests import Manifest

TYPE = re.compile(r"kubernetes:(?P<api>[^:]+):(?P<kind>[^:]+)")
PATCH = "Patch"


class Hook:
    """Refuses what breaks a check. Remembers the colors that it saw, because they are compared with each other."""

    def __init__(self) -> None:
        self._colored: list[Manifest] = []

    def __call__(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """Check one resource. Raises Refused; changes nothing."""
        manifest = manifest_of(args.type_, args.props or {})
        if manifest is None:
            return None
        found = list(checks.violations([manifest]))
        labels = (manifest.get("metadata") or {}).get("labels") or {}
        if manifest["kind"] == "Deployment" and colors.COLOR in labels:
            self._colored.append(manifest)
            found += [("colors", sentence) for sentence in colors.violations(self._colored)]
        if found:
            raise checks.refusal(found)
        return None


def install() -> None:
    """Have Pulumi ask a fresh hook about every resource of this program."""
    register_stack_transformation(Hook())


def manifest_of(type_: str, props: Mapping[str, Any]) -> Manifest | None:
    """The manifest in the arguments of a resource; None for what is no object of Kubernetes (providers, components)."""
    match = TYPE.fullmatch(type_)
    if match is None or match["kind"].endswith(PATCH) or match["api"].startswith(("helm", "yaml", "kustomize")):
        return None
    plain = {key: value for key, value in props.items() if value is not None}
    return {**plain, "apiVersion": match["api"], "kind": match["kind"]}
