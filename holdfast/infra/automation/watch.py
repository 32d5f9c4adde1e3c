"""While Pulumi waits for pods: look why they do not run, and end the wait when waiting cannot end it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType

from holdfast.errors import EnvironmentFailed, HoldfastError
from holdfast.infra.automation.spaces import Seen, Space, Wanted
from holdfast.infra.automation.waiting import Stuck, images_of, stuck
from holdfast.infra.targets.cluster.api import Object
from holdfast.timeline import Timeline

EVERY_S = 2.0
PATIENCE_S = 12.0
"""How long a cause must last that waiting does not end: a registry may fail once, a quota may be raised."""
SHOWN = 5


class Watch:
    """A thread that looks at the namespaces as long as the block runs. `found`: what made it call `interrupt`.

    A pod that waits for its image from before is made anew, once: the kubelet would try again after minutes only, and
    a StatefulSet never replaces a pod that was never ready.
    """

    def __init__(
        self,
        spaces: Sequence[Space],
        asked: Sequence[Wanted],
        interrupt: Callable[[], None],
        timeline: Timeline | None = None,
    ) -> None:
        self._spaces = spaces
        self._asked = asked
        self._interrupt = interrupt
        self._timeline = timeline
        self._since: dict[tuple[str, ...], float] = {}
        self._old: dict[str, set[str]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="watch", daemon=True)
        self.found: list[Stuck] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self.found and not self._end.wait(EVERY_S):
            with suppress(HoldfastError):  # an API server that is away is Pulumi's to tell
                self.found = self.look()
        while self.found and not self._end.is_set():
            self._interrupt()
            self._end.wait(EVERY_S)

    def look(self) -> list[Stuck]:
        """Look once; returns what has lasted too long, with all that would."""
        at, now = time.monotonic(), list[Stuck]()
        for space in self._spaces:
            seen = space.look()
            self._make_anew(space, seen)
            now += [found for found in stuck(space.namespace, seen) if found.endless and self._is_asked(space, found)]
        self._since = {found.key: self._since.get(found.key, at) for found in now}
        over = any(at - since >= PATIENCE_S for since in self._since.values())
        return sorted(now, key=lambda found: (found.cause, found.object)) if over else []

    def _is_asked(self, space: Space, found: Stuck) -> bool:
        """Whether it is about what is asked for now: an old pod may wait for an image that nobody wants any more."""
        mine = [workload for workload in self._asked if workload.namespace == space.namespace]
        if found.cause == "image":
            return any(found.subject in workload.images for workload in mine)
        return found.cause == "storage class" or any(found.subject == workload.name for workload in mine)

    def _make_anew(self, space: Space, seen: Seen) -> None:
        """Delete the pods that waited for their image at the first look, as soon as it helps."""
        waiting = {found.pod: found for found in stuck(space.namespace, seen) if found.cause == "image"}
        pods = {pod["metadata"]["uid"]: pod for pod in seen.pods if pod["metadata"]["name"] in waiting}
        old = self._old.setdefault(space.namespace, set(pods))
        for uid in list(old & pods.keys()):
            pod = pods[uid]
            if self._is_asked(space, waiting[pod["metadata"]["name"]]) or _outdated(pod, seen):
                old.discard(uid)
                self._delete(space, pod["metadata"]["name"])

    def _delete(self, space: Space, pod: str) -> None:
        with suppress(HoldfastError):
            space.api.delete("Pod", pod)
        if self._timeline:
            text = f"{space.namespace}/Pod/{pod} waited for its image and is made anew"
            self._timeline.point("note", text=text)


def _outdated(pod: Object, seen: Seen) -> bool:
    """Whether its StatefulSet does not want its images any more."""
    owners = {owner["uid"] for owner in pod["metadata"].get("ownerReferences") or []}
    for owner in seen.stateful_sets:
        if owner["metadata"]["uid"] in owners:
            return set(images_of(pod).values()) != set(images_of(owner["spec"]["template"]).values())
    return False


def endless(verb: str, stack: str, environment: str, found: Sequence[Stuck]) -> EnvironmentFailed:
    """The error of a wait that cannot end: which objects, why, and the way out of each kind of cause."""
    causes = dict.fromkeys(entry.cause for entry in found)
    lines = [f"{entry.object}: {entry.says}" for entry in found[:SHOWN]]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    ways = [way for cause in causes for way in _ways(environment, [entry for entry in found if entry.cause == cause])]
    again = f"then holdfast {verb} again: it goes on from where it stopped"
    titles = ", ".join(_title([entry for entry in found if entry.cause == cause]) for cause in causes)
    return EnvironmentFailed(
        f"{verb} of {stack}-{environment} cannot end: {titles}",
        because="\n    ".join([*lines, *more]),
        way_out="\n    ".join([*ways, again]),
    )


def _title(found: Sequence[Stuck]) -> str:
    subjects = ", ".join(dict.fromkeys(entry.subject for entry in found if entry.subject))
    match found[0].cause:
        case "image":
            return f"{subjects} cannot be pulled"
        case "quota":
            return f"the quota is exceeded by {subjects}"
        case "storage class":
            return f"there is no storage class {subjects}".strip()
        case _:
            return f"pods of {subjects} are refused"


def _ways(environment: str, found: Sequence[Stuck]) -> Iterator[str]:
    namespace = found[0].object.partition("/")[0]
    match found[0].cause:
        case "image":
            images = ", ".join(dict.fromkeys(entry.subject for entry in found))
            yield f"have {images} where the nodes pull from, or correct it in the stack's YAML,"
        case "quota":
            yield f"raise cluster.environments.{environment}.quota in the stack's YAML, or ask for less; what is used:"
            yield f"kubectl -n {namespace} describe resourcequota,"
        case "storage class":
            claims = " ".join(entry.object.rpartition("/")[2] for entry in found)
            yield f"correct cluster.environments.{environment}.storage_class in the stack's YAML; a claim keeps its old"
            yield f"class and holds nothing yet, so remove it: kubectl -n {namespace} delete --wait=false pvc {claims},"
        case _:
            yield f"correct what the cluster refuses (kubectl -n {namespace} get events),"
