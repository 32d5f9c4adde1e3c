"""What each stack is on a cluster, object by object: HOLDFAST_GOLDEN=write writes the files anew; read their diff."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from support.cluster_plan import ENVIRONMENTS, EVERYWHERE, STACKS, as_yaml, objects
from support.golden import assert_golden

from holdfast.infra.program.model import EnvironmentName

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", STACKS)
def test_a_stacks_objects_are_what_they_were(name: str) -> None:
    assert_golden(GOLDEN / f"{name}.yaml", as_yaml(objects(name)))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", STACKS)
def test_no_two_objects_have_one_name_and_all_say_whose_they_are(name: str, environment: EnvironmentName) -> None:
    made = objects(name, environment)
    names = Counter((entry["kind"], entry["metadata"].get("namespace"), entry["metadata"]["name"]) for entry in made)
    assert [key for key, count in names.items() if count > 1] == []
    assert [entry for entry in made if not {*EVERYWHERE} <= entry["metadata"]["labels"].keys()] == []
    assert [name for _, _, name in names if len(name) > 63] == []


def test_a_region_is_the_same_again_in_its_own_namespace() -> None:
    made = objects("macjarvis", "prod")
    spaces = Counter(entry["metadata"].get("namespace") for entry in made if entry["kind"] == "StatefulSet")
    assert spaces["macjarvis-prod"] == spaces["macjarvis-prod-secondary"] == 11


def test_dev_runs_one_of_everything() -> None:
    sets = [entry for entry in objects("macjarvis", "dev") if entry["kind"] in ("StatefulSet", "Deployment")]
    assert {entry["spec"]["replicas"] for entry in sets} == {1}
