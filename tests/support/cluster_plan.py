"""Stacks as manifests, for tests: which colors there are, and how a golden file shows an object."""

from __future__ import annotations

from typing import Any

import yaml

from holdfast.infra.program.assembly import manifests
from holdfast.infra.program.desired import ColorState, Desired
from holdfast.infra.program.manifest import Manifest, Sealed
from holdfast.infra.program.model import EnvironmentName
from holdfast.infra.stack import Stack, load_stack
from holdfast.infra.target import RouteTable

STACKS = ("sparkle", "agno", "macjarvis", "sage")
ENVIRONMENTS: tuple[EnvironmentName, ...] = ("dev", "staging", "prod")
EVERYWHERE = (
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
    "holdfast/owner",
    "holdfast/environment",
    "holdfast/region",
)
"""Labels that every object has; golden files leave them out."""


def both_colors(stack: Stack) -> Desired:
    """Blue in the first version, live; green in the second."""
    return Desired(
        colors={
            name: {
                "blue": ColorState(version="1.0.0", replicas=service.replicas),
                "green": ColorState(version="1.1.0", replicas=service.replicas),
            }
            for name, service in stack.services.items()
        },
        table=RouteTable(weights={name: {"blue": 100} for name in stack.services}, serial=1),
    )


def objects(name: str, environment: EnvironmentName = "staging") -> list[Manifest]:
    """All objects of a stack's environment with both colors, of all its regions."""
    stack = load_stack(name)
    return [made for listed in manifests(stack, environment, both_colors(stack)).values() for made in listed]


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(Sealed, lambda dumper, value: dumper.represent_str(str(value)))
_Dumper.add_representer(
    str,
    lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None),
)


def as_yaml(made: list[Manifest]) -> str:
    """Objects as a golden file shows them."""
    return yaml.dump_all(
        [_short(entry) for entry in made],
        Dumper=_Dumper,
        sort_keys=False,
        width=120,
        default_flow_style=None,
        allow_unicode=True,
    )


def _short(value: Any, key: str = "") -> Any:
    match value:
        case dict():
            return {
                name: _short(entry, name) for name, entry in value.items() if key != "labels" or name not in EVERYWHERE
            }
        case list() | tuple():
            return [_short(entry) for entry in value]
        case _:
            return value
