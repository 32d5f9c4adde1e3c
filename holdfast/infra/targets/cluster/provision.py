"""A stack's half on a cluster as a release needs it: the stores' URLs, and Pulumi for the colors and for the whole."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit, urlunsplit

import msgspec

from holdfast.children import poll
from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.automation.settings import Settings
from holdfast.infra.automation.verbs import Changes, Provisioner
from holdfast.infra.home import Home
from holdfast.infra.program.assembly import manifests
from holdfast.infra.program.connections import part_url
from holdfast.infra.program.desired import Desired
from holdfast.infra.program.edge import NAME as EDGE
from holdfast.infra.program.manifest import Sealed
from holdfast.infra.program.place import Place, cluster_of, place_of
from holdfast.infra.stack import Stack
from holdfast.infra.targets.cluster import colors, pods
from holdfast.infra.targets.cluster.access import Access
from holdfast.infra.targets.cluster.api import Api, Object
from holdfast.infra.targets.kept import Where
from holdfast.timeline import Timeline

UP_S = 180.0
GONE_S = 180.0
OF_A_COLOR = ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget")
WORKLOADS = ("Deployment", "StatefulSet")
Say = Callable[[str], None]


class ClusterProvision:
    """The namespace of a stack's environment in one region, and Pulumi's hold on it."""

    def __init__(
        self,
        stack: Stack,
        home: Home,
        where: Where,
        access: Access,
        *,
        say: Say = lambda line: None,
        timeline: Timeline | None = None,
    ) -> None:
        self.stack = stack
        self.home = home
        self.where = where
        self.access = access
        self.place: Place = place_of(stack, where.environment, where.region)
        context = cluster_of(stack).regions[where.region].context
        self.api = Api(access.kubeconfig, self.place.namespace, context=context)
        self._say = say
        self._timeline = timeline
        self._opened: Provisioner | None = None

    # -- the whole stack -------------------------------------------------------------------------------------------

    def up(self) -> Changes:
        """Have everything that the stack says, with the colors that a release has put there."""
        return self._pulumi().up()

    def down(self) -> Changes:
        """Take everything away, the colors too."""
        return self._pulumi().down(data=True)

    def exists(self) -> bool:
        """Whether the namespace is there and stays."""
        found = self.api.find("Namespace", self.place.namespace)
        return found is not None and "deletionTimestamp" not in found["metadata"]

    def wait_up(self, timeout: float = UP_S) -> None:
        """Wait until what a release needs is ready. Raises EnvironmentFailed, at once where waiting is in vain."""
        away = troubled = ""
        for _ in poll(time.monotonic() + timeout, every=0.3):
            away = self.away()
            if not away:
                return
            found = self.api.list("Pod")
            troubled = "; ".join(f"{pods.name(pod)}: {said}" for pod in found if (said := pods.trouble(pod)))
            if any(pods.hopeless(pod) for pod in found):
                break
        raise EnvironmentFailed(
            f"{self.place.namespace} did not come up within {timeout:g} s",
            because=f"{away}{'; ' if troubled else ''}{troubled}",
            way_out=f"see kubectl -n {self.place.namespace} describe pods",
        )

    def wait_gone(self, timeout: float = GONE_S) -> None:
        """Wait until the namespace is gone. Raises EnvironmentFailed."""
        for _ in poll(time.monotonic() + timeout, every=0.3):
            if self.api.find("Namespace", self.place.namespace) is None:
                return
        raise EnvironmentFailed(
            f"{self.place.namespace} was not gone within {timeout:g} s",
            because="its pods or volumes take longer to end",
            way_out=f"see kubectl get all -n {self.place.namespace}",
        )

    def away(self, *, stores: bool = True) -> str:
        """What a release needs and is not ready, in words; empty when all is there. The way back needs no store."""
        if not self.exists():
            return f"there is no namespace {self.place.namespace}"
        workloads = {workload["metadata"]["name"]: workload for kind in WORKLOADS for workload in self.api.list(kind)}
        edge = [EDGE] if cluster_of(self.stack).edge else []
        needed = [*edge, *(name for name in self.stack.stores if stores and self._is_ours(name))]
        away = [name for name in needed if name not in workloads or not _ready(workloads[name])]
        return f"not ready: {', '.join(away)}" if away else ""

    def have_color(self, services: Sequence[str], color: str) -> Changes:
        """Have Pulumi make one color of these services, as the kept colors say; nothing else changes.

        It looks first what is there where a Deployment that it knows is gone: the cluster ends a color whose hold is
        over. Raises Refused in a home whose Pulumi has not made the namespace.
        """
        pulumi = self._pulumi()
        if pulumi.knows_nothing():
            raise Refused(
                f"{self.place.namespace} is managed from elsewhere",
                because=f"Pulumi's state in {self.where.backend or self.home.root} does not have it",
                way_out="release from the home that brought it up, or keep the state where both reach it: "
                "holdfast up --target cluster --backend URL",
            )
        gone = any(
            self.api.find("Deployment", f"{service}-{color}") is None
            and pulumi.knows(f"{self.place.namespace}/Deployment/{service}-{color}")
            for service in services
        )
        return pulumi.up(refresh=gone, only=self._objects(services, color))

    def take_color(self, services: Sequence[str], color: str) -> None:
        """Have Pulumi take a color away that is not kept any more; where it does not manage it, end its workload."""
        pulumi = self._pulumi()
        if not pulumi.knows_nothing():
            pulumi.up(only=self._objects(services, color))
            return
        for name in (f"{service}-{color}" for service in services):
            for kind in OF_A_COLOR:
                self.api.delete(kind, name)

    def _objects(self, services: Sequence[str], color: str) -> list[str]:
        """The objects of a color, as Pulumi names them."""
        return [f"**::{self.place.namespace}/*/{service}-{color}*" for service in services]

    # -- stores ----------------------------------------------------------------------------------------------------

    def store_dsn(self, store: str) -> str:
        """The URL of a PostgreSQL store for holdfast itself."""
        return self.store_url(store)

    def store_url(self, store: str) -> str:
        """The URL of a store with its password, by the address of its Service: names resolve in pods only."""
        url = part_url(store, cluster_of(self.stack).parts[store], self.place)
        text = url.form.replace("{}", self._secret(url.key)) if isinstance(url, Sealed) else str(url)
        parts = urlsplit(text)
        name, _, rest = (parts.hostname or "").partition(".")
        if not rest.startswith(f"{self.place.namespace}."):
            return text
        address = str(self.api.get("Service", name)["spec"]["clusterIP"])
        return urlunsplit(parts._replace(netloc=parts.netloc.replace(parts.hostname or "", address)))

    def _is_ours(self, store: str) -> bool:
        """Whether a store is pods of this namespace by its own name: not somebody else's server, nor an operator's."""
        return getattr(cluster_of(self.stack).parts[store], "mode", "") in ("statefulset", "single", "replicated")

    def _secret(self, key: str) -> str:
        """A sealed value, from the Secret that holds it alone."""
        made = manifests(self.stack, self.where.environment, Desired())[self.where.region]
        for manifest in made:
            for entry, value in manifest.get("data", {}).items() if manifest["kind"] == "Secret" else ():
                if isinstance(value, Sealed) and (value.key, value.form) == (key, "{}"):
                    data = self.api.get("Secret", manifest["metadata"]["name"])["data"]
                    return base64.b64decode(data[entry]).decode()
        raise EnvironmentFailed(
            f"the secret {key} is not on the cluster",
            because=f"no Secret of {self.place.namespace} holds it alone",
            way_out="holdfast up --target cluster",
        )

    # -- inside ----------------------------------------------------------------------------------------------------

    def _pulumi(self) -> Provisioner:
        """Pulumi's hold, with what a release has put there."""
        if self._opened is None:
            settings = Settings(
                environment=self.where.environment,
                backend=self.where.backend,
                secrets_provider=self.where.secrets_provider,
                kubeconfig=self.access.kubeconfig,
                plugins=self.access.plugins,
                wait=False,
            )
            self._opened = Provisioner(self.stack, self.home, settings, timeline=self._timeline, say=self._say)
        desired = colors.read_colors(self.api, self.stack)
        self._opened.settings = msgspec.structs.replace(self._opened.settings, desired=desired)
        return self._opened


def _ready(workload: Object) -> bool:
    return int(workload.get("status", {}).get("readyReplicas") or 0) >= min(1, int(workload["spec"]["replicas"]))
