"""The two colors of a service differ in what a release changes, and in nothing else: what was proven is what serves.

Allowed: name, color and version labels, size, image and command of the service itself, the color and version in its
variables, and which ConfigMap and Secret are its own. Colors belong together by their key (namespace, name label).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.infra.policy.manifests import Manifest, title

COLOR = "holdfast/color"
NAME = "app.kubernetes.io/name"
VERSION = "app.kubernetes.io/version"


def violations(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A sentence for the first field in which a service's two Deployments differ without leave."""
    pairs: dict[tuple[str, str], dict[str, Manifest]] = {}
    for manifest in manifests:
        if manifest.get("kind") == "Deployment" and COLOR in (labels := manifest["metadata"].get("labels") or {}):
            pairs.setdefault((manifest["metadata"].get("namespace", ""), labels[NAME]), {})[labels[COLOR]] = manifest
    for colors in pairs.values():
        if len(colors) == 2:
            one, other = (colors[color] for color in sorted(colors))
            for path in difference(neutral(one), neutral(other)):
                yield f"{title(other)}: it differs from {title(one)} in {path}"


def neutral(deployment: Manifest) -> Any:
    """A Deployment in which all that may differ reads alike."""
    labels = deployment["metadata"]["labels"]
    color, service = labels[COLOR], labels[NAME]
    spec = json.loads(json.dumps(deployment["spec"], default=str))
    version = spec["template"]["metadata"]["labels"].get(VERSION, "")
    spec["replicas"] = 0
    for container in spec["template"]["spec"]["containers"]:
        if container["name"] == service:
            container |= {"image": "IMAGE", "command": "COMMAND"}
        for variable in container.get("env") or []:
            if variable.get("value") in (color, version):
                variable["value"] = "COLOR OR VERSION"
    return _named_alike(spec, service, color, version)


def _named_alike(value: Any, service: str, color: str, version: str) -> Any:
    """Replace color and version labels, and names that begin with SERVICE-COLOR."""
    match value:
        case dict():
            return {key: _label(key, entry, service, color, version) for key, entry in value.items()}
        case list():
            return [_named_alike(entry, service, color, version) for entry in value]
        case str() if value == f"{service}-{color}" or value.startswith(f"{service}-{color}-"):
            return f"{service}-COLOR"
        case _:
            return value


def _label(key: str, entry: Any, service: str, color: str, version: str) -> Any:
    if (key, entry) in ((COLOR, color), (VERSION, version)):
        return key
    return _named_alike(entry, service, color, version)


def difference(one: Any, other: Any, path: str = "spec") -> list[str]:
    """The path of the first difference, in a list; empty when there is none."""
    if type(one) is not type(other):
        return [path]
    if isinstance(one, dict):
        for key in sorted({*one, *other}):
            if key not in one or key not in other:
                return [f"{path}.{key}"]
            if found := difference(one[key], other[key], f"{path}.{key}"):
                return found
        return []
    if isinstance(one, list):
        if len(one) != len(other):
            return [path]
        pairs = enumerate(zip(one, other, strict=True))
        return next((found for number, (a, b) in pairs if (found := difference(a, b, f"{path}[{number}]"))), [])
    return [] if one == other else [path]
