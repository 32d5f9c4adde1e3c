"""No container is root, can become root, writes to its root file system, or keeps a capability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.infra.policy.manifests import Manifest, containers, pod_spec, title


def violations(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A sentence for each of these that a container may do."""
    for manifest in manifests:
        spec = pod_spec(manifest)
        if spec is None:
            continue
        pod = spec.get("securityContext") or {}
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{title(manifest)}: its pods share a namespace of the node"
        if any("hostPath" in volume for volume in spec.get("volumes") or []):
            yield f"{title(manifest)}: its pods mount a folder of the node"
        for container in containers(manifest):
            for fault in _faults({**pod, **(container.get("securityContext") or {})}):
                yield f"{title(manifest)}: container {container['name']} {fault}"


def _faults(context: Mapping[str, Any]) -> Iterator[str]:
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        yield "may be root"
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "may gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "can write to its root file system"
    if "ALL" not in ((context.get("capabilities") or {}).get("drop") or []):
        yield "keeps capabilities"
