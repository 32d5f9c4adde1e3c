"""Each check, with a planted violation that it must find; and the stacks, in which there is none."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.cluster_plan import ENVIRONMENTS, STACKS, objects

from holdfast.errors import Refused
from holdfast.infra.policy import checks
from holdfast.infra.program.manifest import Manifest
from holdfast.infra.program.model import EnvironmentName

Plant = Callable[[Manifest], Any]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", STACKS)
def test_no_stack_breaks_the_policy(name: str, environment: EnvironmentName) -> None:
    assert list(checks.violations(objects(name, environment))) == []


def green(made: Manifest) -> Any:
    return made["spec"]["template"]["spec"]


def first(made: Manifest) -> Any:
    return green(made)["containers"][0]


PLANTS: dict[str, tuple[str, Plant, str]] = {
    "no limit": ("limits", lambda d: first(d)["resources"]["limits"].pop("memory"), "no resources.limits.memory"),
    "no request": ("limits", lambda d: first(d)["resources"]["requests"].pop("cpu"), "no resources.requests.cpu"),
    "no readiness": ("probes", lambda d: first(d).pop("readinessProbe"), "no readinessProbe"),
    "no liveness": ("probes", lambda d: first(d).pop("livenessProbe"), "no livenessProbe"),
    "ends at once": ("probes", lambda d: first(d).pop("lifecycle"), "without a preStop sleep"),
    "root": ("non-root", lambda d: first(d)["securityContext"].update(runAsNonRoot=False), "may be root"),
    "uid 0": ("non-root", lambda d: green(d)["securityContext"].update(runAsUser=0), "may be root"),
    "privileged": ("non-root", lambda d: first(d)["securityContext"].update(privileged=True), "may gain privileges"),
    "writable root": (
        "non-root",
        lambda d: first(d)["securityContext"].update(readOnlyRootFilesystem=False),
        "can write to its root",
    ),
    "capabilities": ("non-root", lambda d: first(d)["securityContext"].pop("capabilities"), "keeps capabilities"),
    "host network": ("non-root", lambda d: green(d).update(hostNetwork=True), "share a namespace of the node"),
    "host path": (
        "non-root",
        lambda d: green(d)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        "mount a folder of the node",
    ),
    "password": (
        "plain-secrets",
        lambda d: first(d)["env"].append({"name": "DB_PASSWORD", "value": "hunter2"}),
        "DB_PASSWORD in plain",
    ),
    "url": (
        "plain-secrets",
        lambda d: first(d)["env"].append({"name": "DB", "value": "postgresql://me:hunter2@db/x"}),
        "holds a secret in plain",
    ),
    "key": (
        "plain-secrets",
        lambda d: d["metadata"].update(annotations={"k": "-----BEGIN RSA " + "PRIVATE KEY-----"}),
        "metadata.annotations.k holds a secret",
    ),
    "latest": ("images", lambda d: first(d).update(image="gateway:latest"), "name a tag"),
    "no tag": ("images", lambda d: first(d).update(image="registry:5000/gateway"), "name a tag"),
    "unfilled": ("images", lambda d: first(d).update(image="gateway:{version}"), "name a tag"),
    "no owner": ("owner", lambda d: d["metadata"]["labels"].pop("holdfast/owner"), "no label holdfast/owner"),
    "another probe": (
        "colors",
        lambda d: first(d)["readinessProbe"]["httpGet"].update(path="/other"),
        "readinessProbe.httpGet.path",
    ),
    "more memory": (
        "colors",
        lambda d: first(d)["resources"]["limits"].update(memory="4Gi"),
        "resources.limits.memory",
    ),
    "another variable": (
        "colors",
        lambda d: first(d)["env"].append({"name": "FEATURE", "value": "on"}),
        "spec.containers[0].env",
    ),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_violation_is_found(plant: str) -> None:
    name, spoil, sentence = PLANTS[plant]
    made = copy.deepcopy(objects("sparkle"))
    spoil(
        next(entry for entry in made if entry["kind"] == "Deployment" and entry["metadata"]["name"] == "gateway-green")
    )
    found = [text for check, text in checks.violations(made) if check == name]
    assert len(found) == 1, found
    assert sentence in found[0]
    assert "sparkle-staging/Deployment/gateway-green" in found[0]


def test_a_secret_in_plain_is_found() -> None:
    made = copy.deepcopy(objects("sparkle"))
    next(entry for entry in made if entry["kind"] == "Secret")["data"]["more"] = "aHVudGVyMg=="
    assert [check for check, _ in checks.violations(made)] == ["plain-secrets"]


def test_two_objects_of_one_name_are_found() -> None:
    made = objects("sparkle")
    assert list(checks.violations([*made, made[5]])) == [
        ("unique", f"sparkle-staging/NetworkPolicy/{made[5]['metadata']['name']}: another object has that name")
    ]


def every_check() -> Iterator[str]:
    yield from ("unique", *(check for check, _, _ in PLANTS.values()))


def test_every_check_has_a_plant() -> None:
    assert {*every_check()} == {*checks.CHECKS}


def test_colors_may_differ_in_what_a_release_changes() -> None:
    pair = [entry for entry in objects("sparkle") if entry["metadata"]["name"] in ("engine-blue", "engine-green")]
    blue, green_one = (entry for entry in pair if entry["kind"] == "Deployment")
    assert blue["spec"] != green_one["spec"]
    assert list(checks.CHECKS["colors"]([blue, green_one])) == []


def test_a_refusal_names_what_is_wrong_and_the_way_out() -> None:
    made = copy.deepcopy(objects("sage"))
    del made[0]["metadata"]["labels"]["holdfast/owner"]
    with pytest.raises(Refused) as found:
        checks.require(made)
    assert "cluster/Namespace/sage-staging: it has no label holdfast/owner" in found.value.because
    assert "docs/kubernetes.md" in found.value.way_out
