"""Which color runs what: a ConfigMap of the namespace, so that every operator and every `up` knows the same.

It is written before Pulumi makes a color and after it took one away, under the fencing token of the operation.
"""

from __future__ import annotations

import msgspec

from holdfast.errors import EnvironmentFailed
from holdfast.infra.program.desired import Colors, Desired, first
from holdfast.infra.program.place import Place
from holdfast.infra.stack import Stack
from holdfast.infra.targets.cluster import table
from holdfast.infra.targets.cluster.api import Api, Conflict, Object

NAME = "holdfast-colors"
KEY = "colors.json"
TRIES = 5


def read(api: Api) -> Colors:
    """The colors that should exist; none before the first release."""
    found = api.find("ConfigMap", NAME)
    return _colors(found) if found else {}


def read_colors(api: Api, stack: Stack) -> Desired:
    """What an `up` should have: what a release has put into this namespace, else where the stack begins."""
    kept, routes = read(api), table.read(api)
    begin = first(stack)
    return Desired(colors=kept or begin.colors, table=routes if routes.weights else begin.table)


def write(api: Api, place: Place, change: Colors, without: Colors | None = None) -> Colors:
    """Put colors in, and take those of `without` out; returns what is there then. Others' colors stay."""
    for _ in range(TRIES):
        before = api.find("ConfigMap", NAME)
        colors = _merged(_colors(before) if before else {}, change, without or {})
        made = _manifest(place, colors)
        try:
            if before is None:
                api.create(made)
            else:
                made["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
                api.replace(made)
            return colors
        except Conflict:
            continue
    raise EnvironmentFailed(
        f"the ConfigMap {NAME} could not be written",
        because=f"somebody else changed it {TRIES} times meanwhile",
        way_out="end the other operator, then `holdfast resume`",
    )


def _merged(before: Colors, change: Colors, without: Colors) -> Colors:
    merged = {service: dict(colors) for service, colors in before.items()}
    for service, colors in without.items():
        for color in colors:
            merged.get(service, {}).pop(color, None)
    for service, colors in change.items():
        merged.setdefault(service, {}).update(colors)
    return {service: colors for service, colors in merged.items() if colors}


def _colors(found: Object) -> Colors:
    return msgspec.json.decode(found.get("data", {}).get(KEY, "{}"), type=Colors)


def _manifest(place: Place, colors: Colors) -> Object:
    text = msgspec.json.format(msgspec.json.encode(colors, order="sorted"), indent=1).decode()
    metadata = {"name": NAME, "namespace": place.namespace, "labels": place.labels("colors")}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: text}}
