"""The part of the Gateway API's definitions that is used here, written by hand, for an API server without them.

Fields, bounds, defaults and the status subresource are those of the standard channel, v1, as its reference describes
them; what the stacks do not use is left out, and an unknown field is dropped or refused as with any structural schema.
No implementation of the Gateway API is part of it: nobody acts on the objects, and a test writes their status itself.
"""

from __future__ import annotations

from typing import Any

GROUP = "gateway.networking.k8s.io"
Schema = dict[str, Any]


def _text(most: int, **more: Any) -> Schema:
    """A string; at least one character long unless it is empty by default."""
    return {"type": "string", "maxLength": most, "minLength": 0 if more.get("default") == "" else 1, **more}


def _whole(least: int, most: int, default: int | None = None) -> Schema:
    made: Schema = {"type": "integer", "format": "int32", "minimum": least, "maximum": most}
    return made if default is None else {**made, "default": default}


def _thing(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _some(items: Schema, most: int, key: str = "", **more: Any) -> Schema:
    """A list; `key`: of entries known by that field."""
    by_key = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]} if key else {}
    return {
        "type": "array",
        "items": items,
        "maxItems": most,
        **(by_key or {"x-kubernetes-list-type": "atomic"}),
        **more,
    }


EVERY_PATH = {"path": {"type": "PathPrefix", "value": "/"}}
PATH = _thing(
    type=_text(63, default="PathPrefix", enum=["Exact", "PathPrefix", "RegularExpression"]),
    value=_text(1024, default="/"),
)
PATH["default"] = EVERY_PATH["path"]
HEADER = _thing(
    ("name", "value"),
    type=_text(63, default="Exact", enum=["Exact", "RegularExpression"]),
    name=_text(256, pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$"),
    value=_text(4096),
)
MATCH = _thing(path=PATH, headers=_some(HEADER, 16, "name"))
BACKEND = _thing(
    ("name",),
    group=_text(253, default=""),
    kind=_text(63, default="Service"),
    namespace=_text(63),
    name=_text(253),
    port=_whole(1, 65535),
    weight=_whole(0, 1_000_000, default=1),
)
RULE = _thing(
    matches=_some(MATCH, 64, default=[EVERY_PATH]),
    backendRefs=_some(BACKEND, 16),
)
PARENT = _thing(
    ("name",),
    group=_text(253, default=GROUP),
    kind=_text(63, default="Gateway"),
    namespace=_text(63),
    name=_text(253),
    sectionName=_text(253),
    port=_whole(1, 65535),
)
CONDITION = _thing(
    ("lastTransitionTime", "message", "reason", "status", "type"),
    type=_text(316),
    status=_text(7, enum=["True", "False", "Unknown"]),
    observedGeneration={"type": "integer", "format": "int64", "minimum": 0},
    lastTransitionTime={"type": "string", "format": "date-time"},
    reason=_text(1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    message={"type": "string", "maxLength": 32768},
)
CONDITIONS = _some(CONDITION, 8, "type")
ROUTE = {
    "spec": _thing(
        hostnames=_some(_text(253), 16),
        parentRefs=_some(PARENT, 32),
        rules=_some(RULE, 16, default=[{"matches": [EVERY_PATH]}]),
    ),
    "status": _thing(
        ("parents",),
        parents=_some(
            _thing(
                ("controllerName", "parentRef"),
                parentRef=PARENT,
                controllerName=_text(253, pattern=r"^[a-z0-9.-]+\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$"),
                conditions=CONDITIONS,
            ),
            32,
        ),
    ),
}
LISTENER = _thing(
    ("name", "port", "protocol"),
    name=_text(253),
    hostname=_text(253),
    port=_whole(1, 65535),
    protocol=_text(255),
)
ADDRESS = _thing(("value",), type=_text(253, default="IPAddress"), value=_text(253))
GATEWAY = {
    "spec": _thing(
        ("gatewayClassName", "listeners"),
        gatewayClassName=_text(253),
        listeners={**_some(LISTENER, 64, "name"), "minItems": 1},
    ),
    "status": _thing(addresses=_some(ADDRESS, 16), conditions=CONDITIONS),
}


def _definition(kind: str, properties: Schema) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = _thing(("spec",), apiVersion={"type": "string"}, kind={"type": "string"}, metadata={"type": "object"})
    schema["properties"] |= properties
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{GROUP}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a part of it for tests"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


NAMES = (f"httproutes.{GROUP}", f"gateways.{GROUP}")
DEFINITIONS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [_definition("HTTPRoute", ROUTE), _definition("Gateway", GATEWAY)],
}
