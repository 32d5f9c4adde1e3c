"""Why a pod does not run, read from what the cluster says of it. Pure: the same objects give the same answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from holdfast.infra.automation.spaces import Seen
from holdfast.infra.targets.cluster.api import Object

Cause = Literal["image", "quota", "refused", "storage class", "unschedulable", "volume", "crash", "starting"]

NOT_PULLED = (
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
"""Reasons of a waiting container whose image cannot be had (kubernetes, pkg/kubelet/images/types.go)."""
STARTING = ("ContainerCreating", "PodInitializing", "")
PULL_FAILED = "Failed to pull image"
"""Begin of the kubelet's warning; the state of a pod's containers tells it only when all of them have been tried."""
NOT_YET = "error looking up service account"
"""What admission says in a namespace that is a moment old."""
ENDLESS: tuple[Cause, ...] = ("image", "quota", "refused", "storage class")
"""Causes that waiting does not end: somebody must change something."""


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """Something that keeps a pod from running. `object`: NAMESPACE/Kind/name; `says`: the cluster's own first line.

    `subject`: the image, claim or storage class that it is about; `pod`: the pod's name where there is one.
    """

    object: str
    cause: Cause
    says: str
    subject: str = ""
    pod: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What stays the same while the cluster's words for it change."""
        return (self.object, self.cause, self.subject)

    @property
    def endless(self) -> bool:
        """Whether waiting does not end it."""
        return self.cause in ENDLESS


def stuck(namespace: str, seen: Seen) -> list[Stuck]:
    """Everything in a namespace that keeps a pod from running."""
    return [
        *_not_made(namespace, seen),
        *_claims(namespace, seen),
        *(found for pod in seen.pods if alive(pod) for found in of_pod(namespace, pod, seen)),
    ]


def of_pod(namespace: str, pod: Object, seen: Seen) -> Iterator[Stuck]:
    """What keeps one pod from running: each waiting container, else where it cannot be placed."""
    name = f"{namespace}/Pod/{pod['metadata']['name']}"
    unplaced = condition(pod, "PodScheduled")
    if unplaced and unplaced.get("status") == "False":
        said = _unbound(pod, seen) or first_line(unplaced.get("message", "")).partition(". ")[0]
        yield Stuck(object=name, cause="unschedulable", says=said, pod=pod["metadata"]["name"])
    for status in containers(pod):
        if waiting := status.get("state", {}).get("waiting"):
            yield _waiting(name, pod, status, waiting, seen)


def _waiting(name: str, pod: Object, status: Object, waiting: Mapping[str, Any], seen: Seen) -> Stuck:
    image, reason = images_of(pod)[status["name"]], waiting.get("reason", "")
    message = first_line(waiting.get("message", ""))
    cause: Cause = "image" if reason in NOT_PULLED else "starting" if reason in STARTING else "crash"
    warnings = _warnings(pod, seen)
    if cause == "starting" and (failed := [text for text in warnings if text.startswith(f'{PULL_FAILED} "{image}"')]):
        return Stuck(
            object=name, cause="image", says=first_line(failed[-1]), subject=image, pod=pod["metadata"]["name"]
        )
    if cause == "starting":
        message = (
            first_line(warnings[-1] if warnings else "")
            or f"container {status['name']} is being made, or its image pulled"
        )
        cause = "volume" if "olume" in message else "starting"
    elif last := status.get("lastState", {}).get("terminated"):
        message = f"{message or 'it ended'} (exit {last.get('exitCode')})"
    says = f"{reason}: {message}" if cause in ("image", "crash") else message
    return Stuck(object=name, cause=cause, says=says, subject=image, pod=pod["metadata"]["name"])


def _warnings(pod: Object, seen: Seen) -> list[str]:
    """The warnings about a pod, the last one last, such as of a volume that cannot be mounted."""
    uid = pod["metadata"].get("uid")
    return [event.get("message", "") for event in seen.warnings if event.get("involvedObject", {}).get("uid") == uid]


def refused(seen: Seen) -> Iterator[tuple[str, Object, str]]:
    """The controllers that may not make their pods, as kind, object and what they were told."""
    for owner in seen.replica_sets:
        failed = condition(owner, "ReplicaFailure")
        if failed and failed.get("status") == "True" and owner["spec"].get("replicas", 0):
            yield "ReplicaSet", owner, failed.get("message", "")
    for owner in seen.stateful_sets:
        message = _failed_create(owner, seen)
        if message and owner.get("status", {}).get("replicas", 0) < owner["spec"].get("replicas", 1):
            yield "StatefulSet", owner, message


def _not_made(namespace: str, seen: Seen) -> Iterator[Stuck]:
    """Pods that a controller may not make: the quota is used up, or admission says no."""
    for kind, owner, message in refused(seen):
        if NOT_YET in message:
            continue
        cause: Cause = "quota" if "exceeded quota" in message else "refused"
        owners = owner["metadata"].get("ownerReferences") or [{"kind": kind, "name": owner["metadata"]["name"]}]
        name = f"{namespace}/{owners[0]['kind']}/{owners[0]['name']}"
        yield Stuck(object=name, cause=cause, says=first_line(message), subject=owners[0]["name"])


def _failed_create(owner: Object, seen: Seen) -> str:
    uid = owner["metadata"].get("uid")
    said = [
        event.get("message", "")
        for event in seen.warnings
        if event.get("reason") == "FailedCreate" and event.get("involvedObject", {}).get("uid") == uid
    ]
    return said[-1] if said else ""


def _unbound(pod: Object, seen: Seen) -> str:
    """What is wrong with a claim of the pod; empty when nothing is known to be."""
    mine = claims_of(pod)
    return next((found.says for found in _claims("", seen) if found.object.rpartition("/")[2] in mine), "")


def _claims(namespace: str, seen: Seen) -> Iterator[Stuck]:
    """Claims that a pod waits for, of a storage class that does not exist, or of none where none is the default."""
    if seen.classes is None:
        return
    names = {found["metadata"]["name"] for found in seen.classes}
    used = {name for pod in seen.pods if alive(pod) for name in claims_of(pod)}
    for claim in seen.claims:
        gone = "deletionTimestamp" in claim["metadata"]
        if gone or claim["metadata"]["name"] not in used or claim.get("status", {}).get("phase") != "Pending":
            continue
        asked = claim["spec"].get("storageClassName")
        if asked in names or (not asked and any(_is_default(found) for found in seen.classes)):
            continue
        says = f"there is no storage class {asked}" if asked else "it names no storage class, and none is the default"
        known = ", ".join(sorted(names)) or "none"
        name = f"{namespace}/PersistentVolumeClaim/{claim['metadata']['name']}"
        yield Stuck(object=name, cause="storage class", says=f"{says}; there are: {known}", subject=asked or "")


def claims_of(pod: Object) -> list[str]:
    """The claims that a pod uses."""
    volumes: list[Object] = pod["spec"].get("volumes") or []
    return [entry["persistentVolumeClaim"]["claimName"] for entry in volumes if "persistentVolumeClaim" in entry]


def _is_default(storage_class: Object) -> bool:
    notes = storage_class["metadata"].get("annotations") or {}
    return bool(notes.get("storageclass.kubernetes.io/is-default-class") == "true")


def containers(pod: Object) -> list[Object]:
    """The states of a pod's containers, the initial ones first."""
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def images_of(pod: Object) -> dict[str, str]:
    """Container → the image that it was asked to run; a status may have another of the image's names."""
    parts = [entry for key in ("initContainers", "containers") for entry in pod["spec"].get(key) or []]
    return {entry["name"]: entry["image"] for entry in parts}


def condition(found: Object, kind: str) -> Object | None:
    """One of the conditions of an object's status."""
    listed: list[Object] = found.get("status", {}).get("conditions") or []
    return next((entry for entry in listed if entry.get("type") == kind), None)


def alive(pod: Object) -> bool:
    """Whether a pod is meant to run: it is not being deleted and has not come to its end."""
    done = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return not done and "deletionTimestamp" not in pod["metadata"]


def first_line(text: str) -> str:
    """The first line of what the cluster says; of a long one the begin and the end, where the reason is."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= 300 else f"{line[:100]} … {line[-190:]}"
