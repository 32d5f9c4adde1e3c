"""Every planted release ends in a refusal or an automatic rollback, and the color that was live serves on (CD-3)."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from support.released import Released
from support.sample import sample, whole

from holdfast.errors import ExitCode
from holdfast.infra.home import home_at
from holdfast.infra.release import plants
from holdfast.infra.stack import load_stack
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.ledger import read_ledger, reconcile
from holdfast.load.plan import LoadPlan
from holdfast.load.process import LoadProcess
from holdfast.load.profile import load_profile
from holdfast.pipelines.cli import run
from holdfast.pipelines.compose import EffectSource
from holdfast.run import open_run

pytestmark = pytest.mark.faults

CAUGHT_BY = {
    "never-ready": "ready",
    "one-ready": "ready",
    "crash-loop": "ready",
    "errors-20": "watch",
    "slow-300ms": "watch",
    "acks-without-effect": "watch",
    "double-effect": "watch",
}
LOSES_BY_ITSELF = {"acks-without-effect": "lost", "double-effect": "duplicated"}


def test_every_plant_has_a_step_that_must_catch_it() -> None:
    assert sorted(CAUGHT_BY) == plants()


@pytest.mark.parametrize("plant", sample(sorted(CAUGHT_BY), 3, always={"acks-without-effect"}))
def test_a_planted_release_is_undone_under_load_and_the_live_color_serves_on(
    plant: str, released: Released, capsys: pytest.CaptureFixture[str]
) -> None:
    version = f"bad-{plant}"
    assert run(["release", "build", version, "--plant", plant, *released.options]) == ExitCode.PASS
    target = LocalTarget(load_stack(released.stack), home_at(released.home))
    evidence = open_run(Path(released.home) / "runs", command="plant", stack="sparkle")
    profile = msgspec.structs.replace(load_profile("watch"), duration="90s")
    plan = LoadPlan(
        stream="users",
        url=target.edge_url(),
        profile=profile,
        run_dir=str(evidence.path),
        run_id=evidence.id,
        seed=1,
    )
    with LoadProcess.start(plan):
        capsys.readouterr()
        code = run(["deploy", version, "--json", "--quiet", *released.options])
    assert code == ExitCode.FAIL
    told = json.loads(capsys.readouterr().out)["error"]
    assert told["because"]
    _stopped_at(CAUGHT_BY[plant], released)
    assert released.live() == {"gateway": "v1", "engine": "v1"}
    assert all(len(colors) == 1 for colors in released.colors_running().values())
    requests = read_ledger(evidence.path / "ledger.jsonl")
    found = reconcile(requests, EffectSource(target.stack, target).read(f"{evidence.id}-"))
    wrong = {"lost": found.lost, "duplicated": found.duplicated, "unexplained": found.unexplained}
    own = LOSES_BY_ITSELF.get(plant)
    assert not any(ids for what, ids in wrong.items() if what != own), wrong
    if own:
        assert wrong[own], "the plant lost nothing of the users' requests, so this test proved nothing"
    evidence.close()


def _stopped_at(step: str, released: Released) -> None:
    """The journal says at which step the release turned back."""
    last = sorted(Path(released.home, "journal").glob("*-deploy.jsonl"))[-1]
    lines = [json.loads(line.partition(" ")[2]) for line in last.read_text(encoding="utf-8").splitlines()]
    intents = [line["step"] for line in lines if line["mark"] == "intent"]
    assert intents[-1] == step
    assert lines[-1]["data"]["outcome"] == "undone"


def test_the_whole_suite_is_asked_for_by_name() -> None:
    tried = sample(sorted(CAUGHT_BY), 3, always={"acks-without-effect"})
    assert tried == sorted(CAUGHT_BY) if whole() else len(tried) == 3
