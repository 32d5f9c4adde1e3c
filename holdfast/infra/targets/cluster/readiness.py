"""When a color is ready, and when it has ended: asked of every pod, and told in the cluster's own words when not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from holdfast.children import poll
from holdfast.errors import GateFailed, Refused
from holdfast.infra.probes import http_get
from holdfast.infra.program.colored_service import COLOR
from holdfast.infra.program.place import Place
from holdfast.infra.stack import Color
from holdfast.infra.target import Placement
from holdfast.infra.targets.cluster import pods
from holdfast.infra.targets.cluster.api import Api, Object

if TYPE_CHECKING:
    from holdfast.infra.targets.cluster.target import ClusterTarget

GONE_S = 90.0
"""How long pods may take to end: their preStop sleep, their grace, and a busy kubelet."""
ALIVE_S = 6.0
IN_VAIN = (*pods.HOPELESS, "FailedCreate")


def wait_ready(target: ClusterTarget, placement: Placement) -> None:
    """Wait until every pod is ready several times in a row. Raises GateFailed, at once where waiting is in vain."""
    rows: dict[str, int] = {}
    limit = max(target.plan(service).start_s for service in placement)
    unready: dict[str, str] = {}
    for _ in poll(time.monotonic() + limit, every=0.1):
        unready = {
            name: said
            for service, color in placement.items()
            for name, said in _unready(target, service, color, rows).items()
        }
        if not unready:
            return
        if any(said.partition(":")[0] in IN_VAIN for said in unready.values()):
            break
    raise GateFailed(
        f"not ready within {limit:g} s: {', '.join(unready)}",
        because=_grouped(unready),
        way_out=f"see kubectl -n {target.place.namespace} describe pod {next(iter(unready))}; nothing was switched",
    )


def grow(target: ClusterTarget, placement: Placement, sizes: Mapping[str, int], *, gently: bool) -> None:
    """Give the placed colors their sizes; `gently`: one pod after the other, each once the one before it answers.

    A starting interpreter needs a core for a second, and the users of the live color must not feel it.
    """
    for service, color in placement.items():
        size = sizes[service]
        for count in range(1, size + 1) if gently else [size]:
            if gently and len(target.addresses({service: color})) >= count:
                continue  # it was begun before
            target.api.patch("Deployment", f"{service}-{color}", {"spec": {"replicas": count}}, under="scale")
            if gently:
                _wait_alive(target, service, color, count)


def wait_ended(api: Api, placement: Placement) -> None:
    """Wait for Deployments of these colors that are ending: nothing can be made in their place. Raises Refused."""
    names = [f"{service}-{color}" for service, color in placement.items()]
    for _ in poll(time.monotonic() + GONE_S, every=0.25):
        found = [api.find("Deployment", name) for name in names]
        if not any(one and "deletionTimestamp" in one["metadata"] for one in found):
            return
    raise Refused(
        f"{', '.join(names)} is still ending",
        because=f"its pods have not ended within {GONE_S:g} s",
        way_out="the same command again, in a minute",
    )


def wait_gone(api: Api, place: Place, placement: Placement) -> None:
    """Wait until no pod of the colors is left, also none that is ending."""
    for _ in poll(time.monotonic() + GONE_S, every=0.25):
        left = [
            pod
            for service, color in placement.items()
            for pod in api.list("Pod", {**place.selector(service), COLOR: color})
            if not pods.ended(pod)
        ]
        if not left:
            return


def _wait_alive(target: ClusterTarget, service: str, color: Color, count: int) -> None:
    """Wait until so many pods answer at all; a pod that never does is `wait_ready`'s to judge."""
    path = target.stack.release.health.path
    for _ in poll(time.monotonic() + ALIVE_S, every=0.1):
        found = target.addresses({service: color})
        if sum(http_get(one.host, one.probe_port, path, timeout=0.5).status > 0 for one in found) >= count:
            return


def _unready(target: ClusterTarget, service: str, color: Color, rows: dict[str, int]) -> dict[str, str]:
    """The pods that are not ready often enough yet, and why; `rows` counts their answers in a row."""
    deployment = target.deployment(service, color)
    if deployment is None:
        return {f"{service}-{color}": "it does not exist"}
    found = pods.of_color(target.api, target.place, service, color)
    unready = {pods.name(pod): said for pod in found if (said := _why_unready(target, service, pod, rows))}
    wanted = int(deployment["spec"]["replicas"])
    if len(found) < wanted:
        because = pods.not_created(deployment) or "they have not been made"
        unready[f"{service}-{color}"] = f"{because} ({len(found)} of {wanted} pods)"
    if not unready and (unseen := target.switch.unseen(service, color, [pods.address(pod) for pod in found])):
        unready[f"{service}-{color}"] = unseen
    return unready


def _why_unready(target: ClusterTarget, service: str, pod: Object, rows: dict[str, int]) -> str:
    """Why a pod does not count as ready yet; empty when it does."""
    name, times = pods.name(pod), target.stack.services[service].ready.times
    if rows.get(name, 0) < times:
        said = _asked(target, service, pod)
        rows[name] = 0 if said else rows.get(name, 0) + 1
        if rows[name] < times:
            return pods.trouble(pod) or said or "not ready often enough"
    return "" if pods.is_ready(pod) else "the kubelet does not call it ready"


def _asked(target: ClusterTarget, service: str, pod: Object) -> str:
    """Ask a pod by its address; returns what is wrong, empty when it is ready."""
    host = pods.address(pod)
    if not host:
        return "it has no address yet"
    answer = http_get(host, target.probe_port(service), target.stack.services[service].ready.path)
    return "" if answer.status == 200 else answer.reason or f"{answer.status} {answer.body[:200]}"


def _grouped(said: Mapping[str, str]) -> str:
    """What is said of several pods in the same words, once."""
    of: dict[str, list[str]] = {}
    for name, words in said.items():
        of.setdefault(words, []).append(name)
    return "; ".join(f"{', '.join(names)}: {words}" for words, names in of.items())
