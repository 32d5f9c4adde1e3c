"""A region as a namespace of its own with the stack's stores, made from the stack's manifests."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from urllib.parse import urlsplit, urlunsplit

import msgspec

from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.program import plans, postgres, redis
from holdfast.infra.program.connections import part_url
from holdfast.infra.program.manifest import Manifest, Sealed
from holdfast.infra.program.place import Place, cluster_of
from holdfast.infra.recovery.regions import Region, wait_until
from holdfast.infra.stack import Stack
from holdfast.infra.targets.cluster import pods
from holdfast.infra.targets.cluster.access import Access
from holdfast.infra.targets.cluster.api import Api
from holdfast.infra.targets.cluster.throwaway import throwaway

SET = "StatefulSet"
CRASH = {"postgres": "QUIT", "redis": "TERM"}
"""The signal at which a server ends at once, as nearly as a crash; KILL does not reach a container's first process."""
Passwords = Mapping[str, str]
"""Values by the key of a sealed secret; they are the same in both regions, because one follows the other."""


def drill_parts(stack: Stack, image: str = "") -> dict[str, plans.Postgres | plans.Redis]:
    """The stores of a stack as one server each, that can follow another one. Raises Refused where one cannot."""
    found: dict[str, plans.Postgres | plans.Redis] = {}
    for name in stack.stores:
        part = cluster_of(stack).parts.get(name)
        more = {"image": image} if image else {}
        if isinstance(part, plans.Postgres) and part.mode == "statefulset":
            found[name] = msgspec.structs.replace(part, replicas=0, backup=None, **more)
        elif isinstance(part, plans.Redis):
            found[name] = msgspec.structs.replace(part, mode="replicated", replicas=0, **more)
        else:
            raise Refused(
                f"a failover of {name} cannot be drilled",
                because="its mode is not `statefulset`: its server belongs to an operator or to somebody else",
                way_out="drill it with the tools of whoever runs it",
            )
    return found


@dataclass
class ClusterRegion:
    """A namespace and the stores in it. Those of a killed process's drills are ended by `sweep`."""

    stack: Stack
    place: Place
    api: Api
    parts: Mapping[str, plans.Postgres | plans.Redis]
    passwords: Passwords
    _addresses: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """primary or secondary."""
        return self.place.region

    @property
    def way_out(self) -> str:
        """Where to look when something does not work."""
        return f"see kubectl -n {self.place.namespace} describe pods, and logs"

    def address(self, store: str) -> tuple[str, int]:
        """Host and port by which another region's store follows this one's."""
        port = postgres.PORT if isinstance(self.parts[store], plans.Postgres) else redis.PORT
        return self.place.host(store), port

    def make(self, leader: Region | None = None) -> None:
        """Have the namespace and the stores, each one following the leader's; without a leader they lead."""
        follows = {name: leader.address(name)[0] for name in self.parts} if leader else {}
        place = msgspec.structs.replace(self.place, follows=follows)
        labels = place.labels("namespace")
        self.api.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace, "labels": labels}}
        )
        for name, part in self.parts.items():
            made = (
                postgres.manifests(name, part, place)
                if isinstance(part, plans.Postgres)
                else redis.manifests(name, part, place)
            )
            for manifest in made:
                self.api.apply(_opened(manifest, self.passwords))
        self._addresses.clear()

    def trouble(self) -> str:
        """Why a store cannot come up, where waiting is in vain; empty while it may."""
        return "; ".join(f"{pods.name(p)}: {pods.trouble(p)}" for p in self.api.list("Pod") if pods.hopeless(p))

    def cut(self) -> None:
        """End every store at once: no pod is wanted any more, and those that run are killed.

        A pod's own end would be too gentle: TERM lets PostgreSQL serve its sessions until the last one leaves.
        """
        for name in self.parts:
            self.api.patch(SET, name, {"spec": {"replicas": 0}}, under="scale")
        killers = [Thread(target=self._crash, args=[name]) for name in self.parts]
        for killer in killers:
            killer.start()
        for killer in killers:
            killer.join()
        for pod in self.api.list("Pod"):
            self.api.delete("Pod", pods.name(pod), grace_s=0)

    def clear(self) -> None:
        """Take the stores and their volumes away: what comes next begins from its leader's data."""
        self.cut()
        for name in self.parts:
            self.api.delete(SET, name)
        for claim in self.api.list("PersistentVolumeClaim"):
            self.api.delete("PersistentVolumeClaim", str(claim["metadata"]["name"]))
        kinds = (SET, "Pod", "PersistentVolumeClaim")
        wait_until(self, lambda: not any(self.api.list(kind) for kind in kinds), "its stores were not gone")

    def delete(self) -> None:
        """Ask for the end of the namespace with all that is in it."""
        if self.api.find("Namespace", self.place.namespace) is not None:
            with suppress(EnvironmentFailed):  # what cannot be killed is ended with the namespace, a minute later
                self.cut()
            self.api.delete("Namespace", self.place.namespace)

    def wait_gone(self) -> None:
        """Wait until the namespace is gone."""
        wait_until(self, lambda: self.api.find("Namespace", self.place.namespace) is None, "it was not gone")

    def store_dsn(self, store: str) -> str:
        """The URL of a PostgreSQL store."""
        return self.store_url(store)

    def store_url(self, store: str) -> str:
        """The URL of a store, by the address of its Service: names resolve in pods only."""
        if store not in self._addresses:
            self._addresses[store] = str(self.api.get("Service", store)["spec"]["clusterIP"])
        url = part_url(store, self.parts[store], self.place)
        text = url.form.replace("{}", self.passwords[url.key]) if isinstance(url, Sealed) else str(url)
        parts = urlsplit(text)
        netloc = parts.netloc.replace(parts.hostname or "", self._addresses[store])
        return urlunsplit(parts._replace(netloc=netloc))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _crash(self, name: str) -> None:
        """Kill a store's server; a pod that does not run has none."""
        with suppress(EnvironmentFailed):  # the connection to the command ends with its container
            self.api.execute(f"{name}-0", ["/bin/sh", "-c", f"kill -{CRASH[self._kind(name)]} 1"], timeout=3)

    def _kind(self, name: str) -> str:
        return self.stack.stores[name].kind


def _opened(manifest: Manifest, passwords: Passwords) -> Manifest:
    """The object with its sealed values filled in, as an API server takes it."""
    if manifest["kind"] != "Secret":
        return manifest
    data = {
        key: base64.b64encode(value.form.replace("{}", passwords[value.key]).encode()).decode()
        for key, value in manifest["data"].items()
    }
    return {**manifest, "data": data}


def two_namespaces(stack: Stack, access: Access, image: str = "") -> tuple[ClusterRegion, ClusterRegion]:
    """The primary and the secondary region, with the same passwords; nothing of them is there yet."""
    parts, own = drill_parts(stack, image), throwaway(stack)
    cluster = cluster_of(stack)
    passwords = {f"{name}-password": secrets.token_urlsafe(24) for name in parts}

    def region(name: str) -> ClusterRegion:
        namespace = f"{own.name}-{name}"
        place = Place(
            stack=own.name,
            environment="drill",
            region=name,
            namespace=namespace,
            owner=cluster.owner,
            pull=cluster.pull,
        )
        return ClusterRegion(own, place, Api(access.kubeconfig, namespace), parts, passwords)

    return region("primary"), region("secondary")
