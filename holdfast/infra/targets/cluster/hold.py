"""A color that ends by itself: its Deployment is owned by a Job without pods, whose deadline is the end of the hold.

When the deadline has come the cluster's own controllers end the Job, remove it, and collect what it owns. No pod, no
holdfast, no operator's machine is needed for it. To keep the color, the ownership is taken back first.
"""

from __future__ import annotations

import math
import time

from holdfast.infra.program.colored_service import COLOR
from holdfast.infra.program.place import Place
from holdfast.infra.targets.cluster.api import Api, Conflict, NotFound, Object

UNTIL = "holdfast/held-until"
"""Annotation of the Deployment: Unix seconds."""
TRIES = 20


def keep(api: Api, service: str, color: str) -> None:
    """Take the end back. A color that has ended already is no error: the caller asks whether it runs."""
    for owner in _own(api, service, color, [], None):
        api.delete("Job", owner["name"], orphan=True)


def end_at(api: Api, place: Place, service: str, color: str, until: float) -> None:
    """End a color at `until` (Unix seconds)."""
    made = api.create(job(place, service, color, until))["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": made["name"], "uid": made["uid"]}
    for before in _own(api, service, color, [owner], until):
        api.delete("Job", before["name"], orphan=True)


def until(deployment: Object | None) -> float | None:
    """When a color ends; None when it is kept, or is not there."""
    said = (deployment or {}).get("metadata", {}).get("annotations", {}).get(UNTIL)
    return float(said) if said else None


def job_name(service: str, color: str) -> str:
    """hold-gateway-blue-, to which the API server adds what makes it unique: an earlier one may still be ending."""
    return f"hold-{service}-{color}-"


def job(place: Place, service: str, color: str, until: float) -> Object:
    """The Job: it never has a pod, because its parallelism is 0; its template is there because a Job must have one."""
    container = {"name": "never", "image": "never", "resources": {"limits": {"cpu": "1m", "memory": "1Mi"}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": job_name(service, color),
            "namespace": place.namespace,
            "labels": {**place.labels(service), COLOR: color},
        },
        "spec": {
            "parallelism": 0,
            "backoffLimit": 0,
            "activeDeadlineSeconds": max(1, math.ceil(until - time.time())),
            "ttlSecondsAfterFinished": 0,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }


def _own(api: Api, service: str, color: str, owners: list[Object], until: float | None) -> list[Object]:
    """Write who owns a color's Deployment; returns the Jobs that did. None of it where there is no Deployment."""
    name = f"{service}-{color}"
    for _ in range(TRIES):
        found = api.find("Deployment", name)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return []
        metadata = {"ownerReferences": owners, "annotations": {UNTIL: repr(until) if until else None}}
        try:
            api.patch("Deployment", name, {"metadata": metadata}, of=found["metadata"]["resourceVersion"])
        except NotFound:
            return []
        except Conflict:
            continue
        return [owner for owner in found["metadata"].get("ownerReferences", []) if owner["kind"] == "Job"]
    raise Conflict(f"Deployment {name} could not be held", because=f"it changed {TRIES} times meanwhile", way_out="")
