"""Pieces of manifests, as plain data: objects, containers, pods, workloads. Pure; a part is put together from these.

The defaults are those that a pod needs to lose no request and to do no harm: probes and limits are arguments that
cannot be left out, every pod is non-root with a read-only root, and it ends in two acts (preStop sleep, then TERM).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from holdfast.infra.program.place import Place
from holdfast.infra.program.plans import Resources

Manifest = dict[str, Any]

RELEASE_OWNS = "holdfast/release-owns"
"""Annotation: paths (comma separated) that a release writes and that an `up` leaves alone."""
SKIP_AWAIT = "pulumi.com/skipAwait"
AWAITED = ("Deployment", "Job", "Service", "StatefulSet")
"""Kinds that Pulumi waits for."""
GRACE_MARGIN_S = 10


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A secret of the stack's configuration by name, put into `form` at {} when it is registered, not before."""

    key: str
    form: str = "{}"

    def __str__(self) -> str:
        return f"<sealed {self.key}>"


class FromSecret(msgspec.Struct, frozen=True, kw_only=True):
    """An environment variable that is a key of a Secret."""

    secret: str
    key: str


class FromField(msgspec.Struct, frozen=True, kw_only=True):
    """An environment variable that is a field of the pod, such as metadata.name."""

    path: str


Value = str | FromSecret | FromField
Env = Mapping[str, Value]


def thing(
    api: str,
    kind: str,
    name: str,
    place: Place,
    part: str,
    *,
    annotations: Mapping[str, str] | None = None,
    **body: Any,
) -> Manifest:
    """An object with name, namespace and labels."""
    notes = {**(annotations or {}), **({SKIP_AWAIT: "true"} if kind in AWAITED and not place.wait else {})}
    metadata = {"name": name, "namespace": place.namespace, "labels": place.labels(part)}
    if notes:
        metadata["annotations"] = notes
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def digest(content: object) -> str:
    """Ten characters that stand for the content."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def config_map(name: str, place: Place, part: str, data: Mapping[str, str]) -> Manifest:
    """An immutable ConfigMap; its name carries the hash of its content, so that a change makes another one."""
    return thing("v1", "ConfigMap", f"{name}-{digest(data)}", place, part, data=dict(data), immutable=True)


def secret(name: str, place: Place, part: str, data: Mapping[str, Sealed]) -> Manifest:
    """An immutable Secret of sealed values; its name carries the hash of their names and forms."""
    plain = {key: [value.key, value.form] for key, value in data.items()}
    return thing("v1", "Secret", f"{name}-{digest(plain)}", place, part, data=dict(data), immutable=True, type="Opaque")


def service(
    name: str,
    place: Place,
    part: str,
    ports: Mapping[str, int],
    *,
    selector: Mapping[str, str] | None = None,
    headless: bool = False,
    kind: str = "ClusterIP",
    unready: bool = False,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """A Service. `headless`: a name for every pod; `unready`: pods have names before they are ready."""
    spec: dict[str, Any] = {
        "type": kind,
        "selector": {**place.selector(part), **(selector or {})},
        "ports": [{"name": key, "port": port, "targetPort": port, "protocol": "TCP"} for key, port in ports.items()],
    }
    if headless:
        spec |= {"clusterIP": "None"}
    if unready:
        spec |= {"publishNotReadyAddresses": True}
    return thing("v1", "Service", name, place, part, annotations=annotations, spec=spec)


def http(path: str, port: int) -> dict[str, Any]:
    """What a probe does: GET."""
    return {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}}


def tcp(port: int) -> dict[str, Any]:
    """What a probe does: connect."""
    return {"tcpSocket": {"port": port}}


def execute(*command: str) -> dict[str, Any]:
    """What a probe does: run a command in the container."""
    return {"exec": {"command": list(command)}}


def readiness(does: Mapping[str, Any]) -> dict[str, Any]:
    """Out after 2 s without an answer, and in again at the first; looked at less often where looking is a process."""
    period = 5 if "exec" in does else 1
    return {**does, "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": 2, "successThreshold": 1}


def liveness(does: Mapping[str, Any]) -> dict[str, Any]:
    """Started again after 30 s without an answer; never before the start probe has passed."""
    return {**does, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3, "successThreshold": 1}


def starting(does: Mapping[str, Any]) -> dict[str, Any]:
    """Has 2 min to start."""
    return {**does, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 60, "successThreshold": 1}


def limits(resources: Resources) -> dict[str, Any]:
    """Requests, and limits that equal them unless others are named."""
    return {
        "requests": {"cpu": resources.cpu, "memory": resources.memory},
        "limits": {
            "cpu": resources.cpu_limit or resources.cpu,
            "memory": resources.memory_limit or resources.memory,
        },
    }


def container(
    name: str,
    image: str,
    place: Place,
    resources: Resources,
    *,
    probe: Mapping[str, Any] | None,
    live: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
    args: Sequence[str] = (),
    env: Env | None = None,
    ports: Mapping[str, int] | None = None,
    mounts: Mapping[str, str] | None = None,
    prestop_s: int = 0,
) -> dict[str, Any]:
    """A container. `probe` is what readiness, liveness (unless `live`) and start do; None only for those that end.

    `mounts`: folder or file in the container → name of the volume, with `:sub/path` for a part of it.
    """
    made: dict[str, Any] = {
        "name": name,
        "image": image,
        "imagePullPolicy": place.pull,
        "resources": limits(resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if probe:
        still = live or probe
        made |= {"readinessProbe": readiness(probe), "livenessProbe": liveness(still), "startupProbe": starting(still)}
    if prestop_s:
        made["lifecycle"] = {"preStop": {"sleep": {"seconds": prestop_s}}}
    listed = {
        "command": list(command),
        "args": list(args),
        "env": [_variable(key, value) for key, value in (env or {}).items()],
        "ports": [{"name": key, "containerPort": port, "protocol": "TCP"} for key, port in (ports or {}).items()],
        "volumeMounts": [_mount(path, volume) for path, volume in (mounts or {}).items()],
    }
    return {**made, **{key: value for key, value in listed.items() if value}}


def pod(
    place: Place,
    part: str,
    containers: Sequence[Mapping[str, Any]],
    *,
    uid: int,
    init: Sequence[Mapping[str, Any]] = (),
    volumes: Mapping[str, Mapping[str, Any]] | None = None,
    grace_s: int = 30,
    labels: Mapping[str, str] | None = None,
    account: str = "",
    restart: str = "Always",
) -> dict[str, Any]:
    """A pod template: non-root, no token, spread over nodes and zones."""
    mine = {**place.selector(part), **(labels or {})}
    spec: dict[str, Any] = {
        "automountServiceAccountToken": bool(account),
        "enableServiceLinks": False,
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": grace_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": uid,
            "runAsGroup": uid,
            "fsGroup": uid,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": list(containers),
    }
    if account:
        spec["serviceAccountName"] = account
    if init:
        spec["initContainers"] = list(init)
    if volumes:
        spec["volumes"] = [{"name": name, **volume} for name, volume in volumes.items()]
    if restart == "Always":
        spec["topologySpreadConstraints"] = [_spread(key, mine) for key in ("kubernetes.io/hostname", ZONE)]
    return {"metadata": {"labels": {**place.labels(part), **(labels or {})}}, "spec": spec}


ZONE = "topology.kubernetes.io/zone"


def deployment(
    name: str,
    place: Place,
    part: str,
    template: Mapping[str, Any],
    *,
    replicas: int,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """A Deployment that never has fewer pods than wanted while it changes."""
    made = thing("apps/v1", "Deployment", name, place, part, annotations=annotations)
    made["metadata"]["labels"] |= labels or {}
    made["spec"] = {
        "replicas": replicas,
        "minReadySeconds": 1,
        "progressDeadlineSeconds": 300,
        "revisionHistoryLimit": 3,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": {**place.selector(part), **(labels or {})}},
        "template": dict(template),
    }
    return made


def stateful_set(
    name: str,
    place: Place,
    part: str,
    template: Mapping[str, Any],
    *,
    replicas: int,
    governing: str,
    claims: Mapping[str, str],
    labels: Mapping[str, str] | None = None,
    together: bool = False,
) -> Manifest:
    """A StatefulSet. `claims`: volume → size; volumes stay when the set goes: data must not go by accident."""
    made = thing("apps/v1", "StatefulSet", name, place, part)
    made["metadata"]["labels"] |= labels or {}
    made["spec"] = {
        "serviceName": governing,
        "replicas": replicas,
        "podManagementPolicy": "Parallel" if together else "OrderedReady",
        "revisionHistoryLimit": 3,
        "updateStrategy": {"type": "RollingUpdate"},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "selector": {"matchLabels": {**place.selector(part), **(labels or {})}},
        "template": dict(template),
        "volumeClaimTemplates": [_claim(volume, size, place, part) for volume, size in claims.items()],
    }
    return made


def job(name: str, place: Place, part: str, template: Mapping[str, Any], *, deadline_s: int = 600) -> Manifest:
    """A Job; its name carries the hash of its template, because a Job's template cannot change."""
    spec = {"backoffLimit": 6, "activeDeadlineSeconds": deadline_s, "template": dict(template)}
    return thing("batch/v1", "Job", f"{name}-{digest(template)}", place, part, spec=spec)


def cron_job(
    name: str,
    place: Place,
    part: str,
    template: Mapping[str, Any],
    *,
    schedule: str,
    deadline_s: int = 3600,
    timezone: str = "Etc/UTC",
) -> Manifest:
    """A CronJob of which one runs at a time."""
    spec = {
        "schedule": schedule,
        "timeZone": timezone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 600,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "metadata": {"labels": place.labels(part)},
            "spec": {"backoffLimit": 0, "activeDeadlineSeconds": deadline_s, "template": dict(template)},
        },
    }
    return thing("batch/v1", "CronJob", name, place, part, spec=spec)


def claim(name: str, place: Place, part: str, size: str) -> Manifest:
    """A volume that outlives the pods that use it."""
    spec = _claim(name, size, place, part)["spec"]
    return thing("v1", "PersistentVolumeClaim", name, place, part, spec=spec, annotations={SKIP_AWAIT: "true"})


def disruption_budget(
    name: str, place: Place, part: str, labels: Mapping[str, str] | None = None, unavailable: int = 1
) -> Manifest:
    """Whoever drains a node takes `unavailable` pods of these at a time."""
    spec = {
        "maxUnavailable": unavailable,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": {**place.selector(part), **(labels or {})}},
    }
    return thing("policy/v1", "PodDisruptionBudget", name, place, part, spec=spec)


def empty(limit: str = "64Mi", *, memory: bool = False) -> dict[str, Any]:
    """A volume that lives as long as its pod."""
    return {"emptyDir": {"sizeLimit": limit, **({"medium": "Memory"} if memory else {})}}


def from_config(made: Manifest, mode: int = 0o444) -> dict[str, Any]:
    """A volume with the files of a ConfigMap."""
    return {"configMap": {"name": made["metadata"]["name"], "defaultMode": mode}}


def from_secret(made: Manifest) -> dict[str, Any]:
    """A volume with the files of a Secret, readable by the pod's group alone."""
    return {"secret": {"secretName": made["metadata"]["name"], "defaultMode": 0o440}}


def name_of(made: Manifest) -> str:
    """The name of an object."""
    return str(made["metadata"]["name"])


def _variable(key: str, value: Value) -> dict[str, Any]:
    match value:
        case FromSecret():
            return {"name": key, "valueFrom": {"secretKeyRef": {"name": value.secret, "key": value.key}}}
        case FromField():
            return {"name": key, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": value.path}}}
        case _:
            return {"name": key, **({"value": value} if value else {})}


def _mount(path: str, volume: str) -> dict[str, Any]:
    name, _, inside = volume.partition(":")
    return {"name": name, "mountPath": path, **({"subPath": inside} if inside else {})}


def _spread(key: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(labels)},
    }


def _claim(name: str, size: str, place: Place, part: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if place.storage_class:
        spec["storageClassName"] = place.storage_class
    return {"metadata": {"name": name, "labels": place.labels(part)}, "spec": spec}
