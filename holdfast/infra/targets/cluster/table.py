"""The route table of a namespace: one ConfigMap, written by one guarded write, under the newest fencing token."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec

from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.edge.routes import read_table, route_file
from holdfast.infra.program.edge import ROUTE_FILE, ROUTES
from holdfast.infra.program.place import Place
from holdfast.infra.stack import Stack
from holdfast.infra.target import RouteTable
from holdfast.infra.targets.cluster.api import Api, Conflict, Object

TRIES = 20


def read(api: Api) -> RouteTable:
    """The table in force; empty before the first release. Raises EnvironmentFailed when it cannot be read."""
    found = api.find("ConfigMap", ROUTES)
    return table_of(found) if found else RouteTable()


def table_of(found: Object) -> RouteTable:
    """The table in the ConfigMap."""
    try:
        return read_table(found["data"][ROUTE_FILE].encode())
    except (KeyError, IndexError, ValueError, msgspec.DecodeError) as error:
        raise EnvironmentFailed(
            f"the ConfigMap {ROUTES} cannot be read",
            because=repr(error),
            way_out="put the file back that a release wrote (kubectl get configmap edge-routes -o yaml shows it)",
        ) from error


def write(api: Api, stack: Stack, place: Place, table: RouteTable) -> int:
    """Write the table unless a newer operation has; returns the instant (ns, monotonic) before the write.

    The write is a change of the very object that was looked at. One whose answer was lost finds its own table there.
    """
    data = {ROUTE_FILE: route_file(stack, table).decode()}
    for _ in range(TRIES):
        before = api.find("ConfigMap", ROUTES)
        current = table_of(before) if before else RouteTable()
        refuse_stale(table.token, current)
        written = time.monotonic_ns()
        if before and before["data"].get(ROUTE_FILE) == data[ROUTE_FILE]:
            return written
        try:
            if before is None:
                api.create(_manifest(place, data))
            else:
                api.patch("ConfigMap", ROUTES, {"data": data}, of=before["metadata"]["resourceVersion"])
            return written
        except Conflict:
            continue
    raise EnvironmentFailed(
        f"the ConfigMap {ROUTES} could not be written",
        because=f"somebody else changed it {TRIES} times meanwhile",
        way_out="end the other operator, then `holdfast resume`",
    )


def refuse_stale(token: int, current: RouteTable) -> None:
    """Refuse an operation that a newer one has overtaken, before it changes anything."""
    if token < current.token:
        raise Refused(
            "this operation has been overtaken",
            because=f"the routes were written under token {current.token}, this operation has {token}",
            way_out="run `holdfast status`",
        )


def drift(api: Api, stack: Stack) -> list[str]:
    """What somebody changed in the file beside a release: the routes are not those of the table that it carries."""
    found = api.find("ConfigMap", ROUTES)
    if found is None:
        return []
    table = table_of(found)
    wanted: Any = json.loads(route_file(stack, table))
    if json.loads(found["data"][ROUTE_FILE]) == wanted:
        return []
    return [f"ConfigMap {ROUTES}: its routes are not those of its table (serial {table.serial})"]


def _manifest(place: Place, data: dict[str, str]) -> Object:
    metadata = {"name": ROUTES, "namespace": place.namespace, "labels": place.labels("edge")}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
