"""A stack's half on a cluster as a release needs it: the stores' URLs, and Pulumi for the colors and for the whole."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit, urlunsplit

import msgspec

from holdfast.errors import EnvironmentFailed
from holdfast.infra.automation.settings import Settings
from holdfast.infra.automation.verbs import Changes, Provisioner
from holdfast.infra.home import Home
from holdfast.infra.program.assembly import manifests
from holdfast.infra.program.connections import part_url
from holdfast.infra.program.desired import Desired
from holdfast.infra.program.manifest import Sealed
from holdfast.infra.program.place import Place, cluster_of, place_of
from holdfast.infra.stack import Stack
from holdfast.infra.targets.cluster import colors
from holdfast.infra.targets.cluster.access import Access
from holdfast.infra.targets.cluster.api import Api
from holdfast.infra.targets.kept import Where
from holdfast.timeline import Timeline

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
        return self._pulumi().down()

    def exists(self) -> bool:
        """Whether the namespace is there and stays."""
        found = self.api.find("Namespace", self.place.namespace)
        return found is not None and "deletionTimestamp" not in found["metadata"]

    def have_colors(self, services: Sequence[str], color: str) -> Changes:
        """Have Pulumi make or take away one color of these services, as the kept colors say; nothing else changes."""
        names = [f"{service}-{color}" for service in services]
        return self._pulumi().up(only=[f"**::{self.place.namespace}/*/{name}*" for name in names])

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
