"""Pure parts of the stand-in: property values to plain data and back, differences, and what cannot change in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pulumi.provider.experimental.property_value import Computed, PropertyValue

Properties = Mapping[str, PropertyValue]

ALWAYS = ("apiVersion", "kind", "metadata.name", "metadata.namespace")
FIXED = {
    "ConfigMap": ("data", "binaryData", "immutable"),
    "Secret": ("data", "stringData", "type", "immutable"),
    "Deployment": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
    "Job": ("spec.selector", "spec.template"),
    "Service": ("spec.clusterIP",),
    "PersistentVolumeClaim": ("spec.storageClassName", "spec.accessModes"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
}
"""Paths below which a change makes another object; ConfigMaps and Secrets as the official plugin has it."""


def plain(value: PropertyValue) -> Any:
    """Plain data for the API server; whole numbers are whole again."""
    inner = value.value
    if isinstance(inner, Mapping):
        return {key: plain(entry) for key, entry in inner.items() if not key.startswith("__")}
    if isinstance(inner, tuple):
        return [plain(entry) for entry in inner]
    if isinstance(inner, float) and inner.is_integer():
        return int(inner)
    return inner


def manifest(properties: Properties) -> dict[str, Any]:
    """The object that the properties stand for."""
    return {key: plain(value) for key, value in properties.items() if not key.startswith("__")}


def known(properties: Properties) -> bool:
    """Whether nothing in it waits for another resource."""
    return all(_known(value) for value in properties.values())


def _known(value: PropertyValue) -> bool:
    inner = value.value
    if isinstance(inner, Mapping):
        return all(_known(entry) for entry in inner.values())
    if isinstance(inner, tuple):
        return all(_known(entry) for entry in inner)
    return not isinstance(inner, Computed)


def state(inputs: Properties) -> dict[str, PropertyValue]:
    """What Pulumi keeps of an object: its inputs, and once more as they were asked for, to compare with later."""
    kept = {key: value for key, value in inputs.items() if not key.startswith("__")}
    return {**kept, "__inputs": PropertyValue(kept)}


def last_inputs(kept: Properties) -> Properties:
    """The inputs in a state."""
    found = kept["__inputs"].value if "__inputs" in kept else kept
    assert isinstance(found, Mapping)
    return found


def seen(asked: PropertyValue, live: Any) -> PropertyValue:
    """The live object, as far as it was asked for; what was secret stays secret."""
    inner = asked.value
    if isinstance(inner, Mapping) and isinstance(live, Mapping):
        both = {key: seen(value, live[key]) for key, value in inner.items() if key in live}
        return asked.with_value(both)
    if isinstance(inner, tuple) and isinstance(live, list) and len(inner) == len(live):
        return asked.with_value([seen(one, other) for one, other in zip(inner, live, strict=True)])
    if inner == live or plain(asked) == live:
        return asked
    return asked.with_value(wrapped(live).value)


def wrapped(value: Any) -> PropertyValue:
    """Plain data as a property value."""
    if isinstance(value, Mapping):
        return PropertyValue({key: wrapped(entry) for key, entry in value.items()})
    if isinstance(value, list):
        return PropertyValue([wrapped(entry) for entry in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """The paths in which two plain objects differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            below = f"{path}.{key}".lstrip(".")
            if key in old and key in new:
                yield from differences(old[key], new[key], below)
            else:
                yield below
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif old != new:
        yield path


def fixed(kind: str, path: str) -> bool:
    """Whether a change of this path cannot be made in place."""
    return any(path == root or path.startswith((f"{root}.", f"{root}[")) for root in (*ALWAYS, *FIXED.get(kind, ())))


def without_others(asked: dict[str, Any], live: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    """The object to apply: an ignored path that somebody else has written since is left out, because it is theirs."""
    for path in ignored:
        *folders, last = path.split(".")
        mine: Any = asked
        theirs: Any = live
        for folder in folders:
            mine, theirs = mine.get(folder, {}), theirs.get(folder, {})
        if last in mine and last in theirs and mine[last] != theirs[last]:
            del mine[last]
    return asked
