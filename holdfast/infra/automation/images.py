"""Which images run, which could not be pulled, which wait and for what: the answer of an `up` that does not wait."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from holdfast.children import poll
from holdfast.infra.automation.spaces import Seen, Space, Wanted
from holdfast.infra.automation.waiting import Stuck, containers, images_of, of_pod, stuck
from holdfast.infra.targets.cluster.api import Object

State = Literal["ran", "not pulled", "crashes", "pending", "no pod"]
ORDER: tuple[State, ...] = ("not pulled", "crashes", "pending", "ran", "no pod")
"""The worst first: what a person has to do something about."""
EVERY_S = 1.0


class ImageState(msgspec.Struct, frozen=True, kw_only=True):
    """An image that the stack asks for. `pods`: how many are in this state; `because`: why, in the cluster's words.

    `ran`: its containers run, or have run to their end; `no pod`: nobody runs it now.
    """

    image: str
    state: State
    pods: int
    because: str = ""
    object: str = ""


def settle(spaces: Sequence[Space], asked: Sequence[Wanted], seconds: float) -> list[ImageState]:
    """Look until every image has run or could not be pulled, `seconds` at most; returns what is known then."""
    found: list[ImageState] = []
    for _ in poll(time.monotonic() + seconds, every=EVERY_S):
        found = image_states(asked, {space.namespace: space.look() for space in spaces})
        if all(entry.state != "pending" for entry in found):
            break
    return found


def image_states(asked: Sequence[Wanted], seen: Mapping[str, Seen]) -> list[ImageState]:
    """The state of each image, worst first. `seen` is by namespace. Pure."""
    users: dict[str, list[Wanted]] = {}
    for workload in asked:
        for image in workload.images:
            users.setdefault(image, []).append(workload)
    found = [_state(image, workloads, seen) for image, workloads in users.items()]
    return sorted(found, key=lambda entry: (ORDER.index(entry.state), entry.image))


def _state(image: str, workloads: list[Wanted], seen: Mapping[str, Seen]) -> ImageState:
    namespaces = dict.fromkeys(workload.namespace for workload in workloads)
    told = [
        _of_pod(image, namespace, pod, seen[namespace])
        for namespace in namespaces
        for pod in seen[namespace].pods
        if "deletionTimestamp" not in pod["metadata"] and image in images_of(pod).values()
    ]
    if not told:
        return _without_pods(image, workloads, seen)
    worst = min(told, key=lambda entry: ORDER.index(entry.state))
    return msgspec.structs.replace(worst, pods=sum(entry.state == worst.state for entry in told))


def _of_pod(image: str, namespace: str, pod: Object, seen: Seen) -> ImageState:
    name = f"{namespace}/Pod/{pod['metadata']['name']}"
    mine = [status["state"] for status in containers(pod) if images_of(pod)[status["name"]] == image]
    why = [found for found in of_pod(namespace, pod, seen) if found.cause == "unschedulable" or found.subject == image]
    told: State
    match _worst(why):
        case Stuck(cause="image") as found:
            told, because = "not pulled", found.says
        case Stuck(cause="crash") as found:
            told, because = "crashes", found.says
        case _ if mine and all("running" in state or "terminated" in state for state in mine):
            told, because = "ran", ""
        case Stuck() as found:
            told, because = "pending", found.says
        case _:
            told, because = "pending", "the kubelet has not begun with it"
    return ImageState(image=image, state=told, pods=1, because=because, object=name)


def _without_pods(image: str, workloads: list[Wanted], seen: Mapping[str, Seen]) -> ImageState:
    names = {workload.name for workload in workloads}
    for namespace in dict.fromkeys(workload.namespace for workload in workloads):
        for found in stuck(namespace, seen[namespace]):
            if found.cause in ("quota", "refused") and found.subject in names:
                return ImageState(image=image, state="pending", pods=0, because=found.says, object=found.object)
    first = workloads[0]
    if all(workload.kind == "CronJob" for workload in workloads):
        return ImageState(image=image, state="no pod", pods=0, because="it runs at its time", object=first.object)
    if any(workload.replicas for workload in workloads):
        return ImageState(image=image, state="pending", pods=0, because="no pod was made yet", object=first.object)
    return ImageState(image=image, state="no pod", pods=0, because="no pod is asked for", object=first.object)


def _worst(found: Iterable[Stuck]) -> Stuck | None:
    order = ("image", "crash", "unschedulable", "volume", "starting")
    return min(found, key=lambda entry: order.index(entry.cause), default=None)
