"""Wait until what an `up` has made is ready, and end the wait at once when waiting cannot end it.

Pulumi only has the objects accepted; the waiting is ours, so that no lock is held meanwhile and the answer says why.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from holdfast.children import poll
from holdfast.errors import EnvironmentFailed, HoldfastError
from holdfast.infra.automation.spaces import Seen, Space, Wanted
from holdfast.infra.automation.waiting import Stuck, claims_of, refused, stuck
from holdfast.infra.targets.cluster.api import Object
from holdfast.timeline import Timeline

EVERY_S = 1.0
PATIENCE_S = 12.0
"""How long a cause must last that waiting does not end: a registry may fail once, a quota may be raised."""
READY_S = 600.0
GONE_S = 120.0
SHOWN = 5
TRIED = "holdfast/tried-again"
"""Annotation of a controller that was told to try again: when (Unix seconds)."""
ANEW = ("image", "storage class")
"""Causes after whose end a pod or a claim does not go on by itself, or not soon."""


class Wait:
    """The wait of one `up` for the workloads that it asked for. `title`: sage-dev."""

    def __init__(
        self, title: str, spaces: Sequence[Space], asked: Sequence[Wanted], timeline: Timeline | None = None
    ) -> None:
        self._title = title
        self._spaces = spaces
        self._asked = asked
        self._timeline = timeline
        self._since: dict[tuple[str, ...], float] = {}
        self._told: list[str] = []
        self._old: set[str] = set()

    def begin(self) -> None:
        """Remember, before anything is changed, which pods, claims and controllers wait for what may come now."""
        for space, seen in self._look():
            self._old |= {owner["metadata"]["uid"] for _, owner, _ in refused(seen)}
            names = {found.object.rpartition("/")[2] for found in stuck(space.namespace, seen) if found.cause in ANEW}
            mine = [*seen.pods, *seen.claims]
            self._old |= {found["metadata"]["uid"] for found in mine if found["metadata"]["name"] in names}

    def make_anew(self) -> None:
        """Delete the pods and claims that are still there, so that they are made anew from what is asked for now.

        The kubelet would try again after minutes only, a StatefulSet never replaces a pod that was never ready, and a
        claim keeps the class that it was made with. A claim that waits has no volume yet, so it holds nothing.
        A controller that may not make its pods waits ever longer between its tries: a change of it has it try now.
        """
        for space in self._spaces if self._old else ():
            claims = [claim for claim in space.api.list("PersistentVolumeClaim") if self._is_old(claim, "Pending")]
            for claim in claims:
                self._delete(space, "PersistentVolumeClaim", claim, "waited for its storage class")
            names = {claim["metadata"]["name"] for claim in claims}
            for pod in space.api.list("Pod"):
                if self._is_old(pod) or names & set(claims_of(pod)):
                    self._delete(space, "Pod", pod, "waited in vain")
            for kind, owner, _ in refused(space.look()):
                if self._is_old(owner):
                    change = {"metadata": {"annotations": {TRIED: str(time.time())}}}
                    with suppress(HoldfastError):
                        space.api.patch(kind, owner["metadata"]["name"], change)

    def _is_old(self, found: Object, phase: str = "") -> bool:
        known = found["metadata"]["uid"] in self._old and "deletionTimestamp" not in found["metadata"]
        return known and phase in ("", found["status"].get("phase"))

    def _delete(self, space: Space, kind: str, found: Object, why: str) -> None:
        name = found["metadata"]["name"]
        with suppress(HoldfastError):
            space.api.delete(kind, name)
        if self._timeline:
            text = f"{space.namespace}/{kind}/{name} {why}: it is made anew"
            self._timeline.point("note", text=text)

    def until_ready(self, seconds: float = READY_S) -> None:
        """Wait for every workload. Raises EnvironmentFailed when waiting cannot end, or did not within `seconds`."""
        lacks: list[str] = []
        found: list[Stuck] = []
        for _ in poll(time.monotonic() + seconds, every=EVERY_S):
            seen = self._look()
            lacks = [lack for space, now in seen for lack in lacking(self._of(space), now)]
            if not lacks:
                return
            found = [entry for space, now in seen for entry in stuck(space.namespace, now) if self._counts(entry)]
            if self._is_over(found):
                raise endless(self._title, [entry for entry in found if entry.endless])
            self._tell(lacks)
        raise _too_long(self._title, seconds, lacks, found)

    def _look(self) -> list[tuple[Space, Seen]]:
        return [(space, space.look()) for space in self._spaces]

    def _of(self, space: Space) -> list[Wanted]:
        return [workload for workload in self._asked if workload.namespace == space.namespace]

    def _counts(self, found: Stuck) -> bool:
        """Whether it is about what is asked for: a pod that is being replaced may want an image that nobody wants."""
        namespace = found.object.partition("/")[0]
        mine = [workload for workload in self._asked if workload.namespace == namespace]
        match found.cause:
            case "image":
                return any(found.subject in workload.images for workload in mine)
            case "quota" | "refused":
                return any(found.subject == workload.name for workload in mine)
            case _:
                return True

    def _is_over(self, found: Sequence[Stuck]) -> bool:
        """Whether a cause that waiting does not end has lasted long enough."""
        at = time.monotonic()
        self._since = {entry.key: self._since.get(entry.key, at) for entry in found if entry.endless}
        return any(at - since >= PATIENCE_S for since in self._since.values())

    def _tell(self, lacks: list[str]) -> None:
        if lacks != self._told and self._timeline:
            self._timeline.point("waiting", objects=lacks)
        self._told = lacks


def until_gone(spaces: Sequence[Space], seconds: float = GONE_S) -> list[str]:
    """Wait until no pod is left, `seconds` at most; returns the pods that are still ending then."""
    left: list[str] = []
    for _ in poll(time.monotonic() + seconds, every=EVERY_S):
        left = [f"{space.namespace}/{pod['metadata']['name']}" for space in spaces for pod in space.api.list("Pod")]
        if not left:
            break
    return left


def lacking(asked: Sequence[Wanted], seen: Seen) -> list[str]:
    """The workloads that are not ready, each with what it lacks. Sizes are the cluster's: a release may change them."""
    kinds = {"Deployment": seen.deployments, "StatefulSet": seen.stateful_sets, "Job": seen.jobs}
    found = []
    for workload in asked:
        there = {entry["metadata"]["name"]: entry for entry in kinds.get(workload.kind, ())}
        if workload.kind in kinds and (lack := _lack(workload.kind, there.get(workload.name))):
            found.append(f"{workload.object}: {lack}")
    return found


def _lack(kind: str, live: Object | None) -> str:
    if live is None:
        return "it is not there"
    spec, status = live.get("spec", {}), live.get("status", {})
    if kind == "Job":
        return "" if status.get("succeeded") else f"not done, {status.get('failed', 0)} attempts failed"
    wanted = int(spec.get("replicas", 1))
    ready = min(int(status.get("readyReplicas") or 0), int(status.get("updatedReplicas") or 0))
    behind = int(status.get("observedGeneration") or 0) < int(live["metadata"]["generation"])
    if behind:
        return "its controller has not seen it yet"
    return "" if ready >= wanted else f"{ready} of {wanted} pods ready"


def endless(title: str, found: Sequence[Stuck]) -> EnvironmentFailed:
    """The error of a wait that cannot end: which objects, why, and the way out of each kind of cause."""
    groups = {cause: [entry for entry in found if entry.cause == cause] for cause in dict.fromkeys(_causes(found))}
    ways = [way for group in groups.values() for way in _ways(title, group)]
    return EnvironmentFailed(
        f"{title} cannot come up: {'; '.join(_named(group) for group in groups.values())}",
        because=_lines([f"{entry.object}: {entry.says}" for entry in found]),
        way_out="\n    ".join([*ways, "then holdfast up again: it goes on from there"]),
    )


def _too_long(title: str, seconds: float, lacks: Sequence[str], found: Sequence[Stuck]) -> EnvironmentFailed:
    said = [f"{entry.object}: {entry.says}" for entry in found]
    return EnvironmentFailed(
        f"{title} was not ready within {seconds:g} s",
        because=_lines([*lacks, *said]),
        way_out="correct what is named there, then holdfast up again; with --no-wait it only says how things are",
    )


def _lines(said: Sequence[str]) -> str:
    more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
    return "\n    ".join([*said[:SHOWN], *more])


def _causes(found: Sequence[Stuck]) -> Iterator[str]:
    yield from (entry.cause for entry in found)


def _named(found: Sequence[Stuck]) -> str:
    subjects = ", ".join(dict.fromkeys(entry.subject for entry in found if entry.subject))
    match found[0].cause:
        case "image":
            return f"{subjects} cannot be pulled"
        case "quota":
            return f"{subjects} exceeds the quota"
        case "storage class":
            return f"there is no storage class {subjects}" if subjects else "there is no default storage class"
        case _:
            return f"pods of {subjects} are refused"


def _ways(title: str, found: Sequence[Stuck]) -> Iterator[str]:
    namespace, environment = found[0].object.partition("/")[0], title.rpartition("-")[2]
    match found[0].cause:
        case "image":
            images = ", ".join(dict.fromkeys(entry.subject for entry in found))
            yield f"have {images} where the nodes pull from, or correct what the stack's YAML says,"
        case "quota":
            yield f"raise cluster.environments.{environment}.quota in the stack's YAML, or ask for less"
            yield f"(kubectl -n {namespace} describe resourcequota shows what is used),"
        case "storage class":
            yield f"correct cluster.environments.{environment}.storage_class in the stack's YAML, or have that class,"
        case _:
            yield f"correct what the cluster refuses (kubectl -n {namespace} get events),"
