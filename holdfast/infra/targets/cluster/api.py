"""The Kubernetes API with plain objects (dicts): the official client's connection and credentials, our own words.

A call waits out an API server that is away, `patience` seconds at most. What it may have missed is its caller's to
find out: a write whose answer was lost is repeated, so that a guarded one may meet itself as a Conflict.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from holdfast.children import poll
from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.targets.cluster.inside import run_inside

Object = dict[str, Any]

MANAGER = "holdfast"
"""The field manager of what a release writes; what Pulumi writes has Pulumi's."""
PATIENCE_S = 60.0
ANSWER_S = 15.0
BUSY = (429, 500, 502, 503, 504)
WAYS = {
    "ConfigMap": "api/v1/configmaps",
    "Endpoints": "api/v1/endpoints",
    "Event": "api/v1/events",
    "Namespace": "api/v1/namespaces",
    "Node": "api/v1/nodes",
    "PersistentVolumeClaim": "api/v1/persistentvolumeclaims",
    "Pod": "api/v1/pods",
    "ResourceQuota": "api/v1/resourcequotas",
    "Secret": "api/v1/secrets",
    "Service": "api/v1/services",
    "Deployment": "apis/apps/v1/deployments",
    "ReplicaSet": "apis/apps/v1/replicasets",
    "StatefulSet": "apis/apps/v1/statefulsets",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2/horizontalpodautoscalers",
    "Job": "apis/batch/v1/jobs",
    "CronJob": "apis/batch/v1/cronjobs",
    "Lease": "apis/coordination.k8s.io/v1/leases",
    "EndpointSlice": "apis/discovery.k8s.io/v1/endpointslices",
    "HTTPRoute": "apis/gateway.networking.k8s.io/v1/httproutes",
    "NetworkPolicy": "apis/networking.k8s.io/v1/networkpolicies",
    "PodDisruptionBudget": "apis/policy/v1/poddisruptionbudgets",
    "StorageClass": "apis/storage.k8s.io/v1/storageclasses",
}
WITHOUT_NAMESPACE = ("Namespace", "Node", "StorageClass")


class Away(EnvironmentFailed):
    """Nobody answered for as long as the caller was patient."""


class NotFound(EnvironmentFailed):
    """There is no such object, or no such kind."""


class Conflict(EnvironmentFailed):
    """The object is there already, or has changed since it was read."""


class Api:
    """One cluster, and the namespace that is meant where none is named. An instance may be used by several threads."""

    def __init__(
        self, kubeconfig: str | Path, namespace: str, *, context: str = "", patience: float = PATIENCE_S
    ) -> None:
        self.namespace = namespace
        self.patience = patience
        self._client = _client(str(kubeconfig), context)

    # -- one object ------------------------------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> Object:
        """The object. Raises NotFound."""
        return self._ask("GET", self._path(kind, name))

    def find(self, kind: str, name: str) -> Object | None:
        """The object; None when there is none."""
        try:
            return self.get(kind, name)
        except NotFound:
            return None

    def create(self, made: Object) -> Object:
        """Make an object that is not there. Raises Conflict when it is."""
        return self._ask("POST", self._path(made["kind"]), body=made, query={"fieldManager": MANAGER})

    def apply(self, made: Object, *, manager: str = MANAGER, force: bool = True) -> Object:
        """Server-side apply: have these fields so. Raises Conflict when another manager has one, unless forced."""
        path = self._path(made["kind"], made["metadata"]["name"])
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return self._ask("PATCH", path, body=made, query=query, content="application/apply-patch+yaml")

    def replace(self, made: Object) -> Object:
        """Write a whole object that was read before. Raises Conflict when it has changed since."""
        path = self._path(made["kind"], made["metadata"]["name"])
        return self._ask("PUT", path, body=made, query={"fieldManager": MANAGER})

    def patch(self, kind: str, name: str, change: Object, *, of: str = "", under: str = "") -> Object:
        """Merge a change into an object. `of`: the resourceVersion that it is a change of, else Conflict.

        `under`: a subresource, as `scale`.
        """
        metadata = {"metadata": {**change.get("metadata", {}), "resourceVersion": of}} if of else {}
        path = self._path(kind, name) + (f"/{under}" if under else "")
        content = "application/merge-patch+json"
        return self._ask("PATCH", path, body={**change, **metadata}, query={"fieldManager": MANAGER}, content=content)

    def delete(self, kind: str, name: str, *, grace_s: int | None = None, orphan: bool = False) -> bool:
        """Ask for the end of an object and, unless `orphan`, of what it owns; False when there is none."""
        body: Object = {"propagationPolicy": "Orphan" if orphan else "Background"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        try:
            self._ask("DELETE", self._path(kind, name), body=body)
        except NotFound:
            return False
        return True

    def evict(self, pod: str) -> None:
        """Put a pod out as whoever drains a node does: it is asked for until the disruption budget allows it."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.namespace}}
        with suppress(NotFound):
            self._ask("POST", f"{self._path('Pod', pod)}/eviction", body=body)

    # -- several ---------------------------------------------------------------------------------------------------

    def list(self, kind: str, labels: Mapping[str, str] | None = None, *, fields: str = "") -> list[Object]:
        """The objects of a kind that carry these labels."""
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in (labels or {}).items())}
        if fields:
            query["fieldSelector"] = fields
        found: list[Object] = self._ask("GET", self._path(kind), query=query).get("items", [])
        return found

    def text(self, path: str) -> str:
        """GET a path that answers with text, as a pod's log."""
        return self._answer("GET", path, {}, None, "").decode(errors="replace")

    def log(self, pod: str, *, lines: int = 0, container: str = "", since: str = "") -> str:
        """A container's log: its last lines where a number is given; what came `since` (RFC 3339), with time stamps."""
        asked = {"tailLines": str(lines) if lines else "", "container": container, "sinceTime": since}
        query = urlencode(
            {key: value for key, value in asked.items() if value} | ({"timestamps": "true"} if since else {})
        )
        return self.text(f"{self._path('Pod', pod)}/log?{query}")

    # -- inside of pods --------------------------------------------------------------------------------------------

    def execute(self, pod: str, argv: Sequence[str], *, container: str = "", timeout: float = ANSWER_S) -> str:
        """Run a command in a container and return what it printed. Raises EnvironmentFailed when it did not end 0."""
        return run_inside(self._client.config, f"{self._path('Pod', pod)}/exec", argv, container, timeout)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _path(self, kind: str, name: str = "") -> str:
        root, _, plural = WAYS[kind].rpartition("/")
        space = "" if kind in WITHOUT_NAMESPACE else f"/namespaces/{self.namespace}"
        return f"/{root}{space}/{plural}" + (f"/{name}" if name else "")

    def _ask(
        self, method: str, path: str, *, body: Any = None, query: Mapping[str, str] | None = None, content: str = ""
    ) -> Object:
        found: Object = json.loads(self._answer(method, path, query or {}, body, content))
        return found

    def _answer(self, method: str, path: str, query: Mapping[str, str], body: Any, content: str) -> bytes:
        """The answer's body, asked for again while nobody answers or the API server has no time."""
        begin, said = time.monotonic(), ""
        for _ in poll(begin + self.patience, every=0.2):
            try:
                status, data = self._client.send(method, path, query, body, content)
            except OSError as error:
                said = str(error) or type(error).__name__
                continue
            if status not in BUSY:
                return _checked(status, data, method, path)
            said = _message(data) or f"HTTP {status}"
        raise Away(
            f"the API server of the cluster did not answer within {self.patience:g} s",
            because=said.splitlines()[0] if said else "no connection",
            way_out="see that it is reached (kubectl get --raw /readyz), then go on with `holdfast resume`",
        )


class _Connection:
    """The official client, reduced to one question at a time."""

    def __init__(self, config: Any) -> None:
        from kubernetes import client

        self.config = config
        self._plain = client.ApiClient(config)

    def send(self, method: str, path: str, query: Mapping[str, str], body: Any, content: str) -> tuple[int, bytes]:
        """Status and body. Raises OSError when there was no answer."""
        import urllib3.exceptions
        from kubernetes import client

        headers = {"Accept": "application/json, */*", "Content-Type": content or "application/json"}
        asked = self._plain.param_serialize(
            method,
            resource_path=path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._plain.call_api(*asked, _request_timeout=(3.0, ANSWER_S))
            data: bytes = response.read() or b""  # type: ignore[no-untyped-call]
            return response.status, data
        except (urllib3.exceptions.HTTPError, client.ApiException) as error:  # the latter: cut off in the TLS handshake
            raise OSError(_reason(error)) from error


def _client(kubeconfig: str, context: str) -> _Connection:
    """Connect by a kubeconfig, or, where there is none and this is a pod, by its service account. Raises Refused."""
    from kubernetes import client, config
    from kubernetes.config import config_exception

    settings = client.Configuration()
    settings.retries = False  # ours say how long they wait
    try:
        if kubeconfig:
            config.load_kube_config(kubeconfig, context or None, settings, persist_config=False)  # type: ignore[no-untyped-call]
        else:
            config.load_incluster_config(settings)  # type: ignore[no-untyped-call]
    except (config_exception.ConfigException, OSError) as error:
        raise Refused(
            "the cluster's configuration cannot be used",
            because=f"{kubeconfig or 'the service account of this pod'}: {error}",
            way_out="let KUBECONFIG name one that works with kubectl",
        ) from error
    return _Connection(settings)


def _checked(status: int, data: bytes, method: str, path: str) -> bytes:
    if status < 400:
        return data
    what, said = f"{method} {path} was refused", _message(data) or f"HTTP {status}"
    if status == 404:
        raise NotFound(f"there is no {path.rsplit('/', 2)[-2]} {path.rsplit('/', 1)[-1]}", because=said, way_out="")
    if status == 409:
        raise Conflict(what, because=said, way_out="see who else changes it, then do it again")
    raise EnvironmentFailed(
        what, because=said, way_out="see that these credentials may do it and what is wrong with it"
    )


def _message(data: bytes) -> str:
    with suppress(ValueError, AttributeError):
        return str(json.loads(data).get("message", ""))
    return data.decode(errors="replace")[:200]


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", "") or error)
