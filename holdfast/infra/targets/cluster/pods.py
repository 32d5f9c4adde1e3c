"""The pods of a color: where they are, what they say, why one is not ready."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.errors import EnvironmentFailed
from holdfast.infra.automation.waiting import NOT_PULLED
from holdfast.infra.program.colored_service import COLOR
from holdfast.infra.program.place import Place
from holdfast.infra.targets.cluster.api import Api, Object

HOPELESS = (*NOT_PULLED, "CreateContainerConfigError", "CreateContainerError")
"""Reasons of a container that waits and that waiting does not mend."""


def of_color(api: Api, place: Place, service: str, color: str) -> list[Object]:
    """The pods of a color that were not told to end, by name."""
    found = api.list("Pod", {**place.selector(service), COLOR: color})
    alive = [pod for pod in found if "deletionTimestamp" not in pod["metadata"] and not ended(pod)]
    return sorted(alive, key=lambda pod: str(pod["metadata"]["name"]))


def ended(pod: Object) -> bool:
    """Whether it has run to its end, or was put out."""
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def name(pod: Object) -> str:
    """Its name."""
    return str(pod["metadata"]["name"])


def address(pod: Object) -> str:
    """Its address; empty before it has one."""
    return str(pod["status"].get("podIP", ""))


def is_running(pod: Object) -> bool:
    """Whether its containers run."""
    return bool(pod["status"].get("phase") == "Running")


def is_ready(pod: Object) -> bool:
    """Whether the kubelet calls it ready."""
    return any(
        found["type"] == "Ready" and found["status"] == "True" for found in pod["status"].get("conditions") or []
    )


def restarts(pod: Object) -> int:
    """How often its containers were started again."""
    return sum(found["restartCount"] for found in pod["status"].get("containerStatuses") or [])


def trouble(pod: Object) -> str:
    """Why it does not run, in the kubelet's or the scheduler's words; empty when nothing is known."""
    for found in pod["status"].get("containerStatuses") or []:
        waiting = found.get("state", {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            last = (found.get("lastState", {}).get("terminated") or {}).get("exitCode")
            ended_with = f", its last exit was {last}" if last is not None else ""
            return f"{waiting['reason']}: {waiting.get('message', '').strip() or found['image']}{ended_with}"
    for found in pod["status"].get("conditions") or []:
        if found["type"] == "PodScheduled" and found["status"] == "False":
            return f"{found.get('reason', 'not scheduled')}: {found.get('message', '')}"
    return ""


def hopeless(pod: Object) -> bool:
    """Whether waiting for it is in vain."""
    return trouble(pod).partition(":")[0] in HOPELESS


def not_created(deployment: Object) -> str:
    """Why a Deployment cannot even make its pods (a quota, an admission): the controller's words, or empty."""
    for found in deployment.get("status", {}).get("conditions") or []:
        if found["type"] == "ReplicaFailure" and found["status"] == "True":
            return f"{found.get('reason', '')}: {found.get('message', '')}"
    return ""


def tell(api: Api, names: Sequence[str], argv: Sequence[str], container: str) -> list[str]:
    """Run a command in each of these pods at once; returns what could not be told."""
    from concurrent.futures import ThreadPoolExecutor

    def one(pod: str) -> str:
        try:
            api.execute(pod, argv, container=container)
        except EnvironmentFailed as error:
            return f"{pod}: {error.because}"
        return ""

    with ThreadPoolExecutor(max_workers=min(16, max(1, len(names)))) as pool:
        return [said for said in pool.map(one, names) if said]
