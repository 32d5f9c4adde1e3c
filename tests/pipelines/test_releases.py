"""Releases through the command line: forward, back, forward, done; in steps; in shares (CD-2, CD-5)."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from support.released import Released

from holdfast.errors import ExitCode, UsageError
from holdfast.infra.bluegreen.gradual import parse_shares, with_shares
from holdfast.infra.bluegreen.release import RELEASE
from holdfast.pipelines.cli import run
from holdfast.pipelines.release_gates import watch_seconds
from holdfast.pipelines.stacks import stack_status

ANSWERS = 300


def _json(
    arguments: list[str], capsys: pytest.CaptureFixture[str], code: ExitCode = ExitCode.PASS
) -> dict[str, object]:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def _colors(released: Released) -> Counter[str]:
    url = f"{stack_status(released.stack, released.home).edge_url}/v1/whoami"
    found: Counter[str] = Counter()
    for _ in range(ANSWERS):
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own edge
            found[answer.headers["x-holdfast-color"]] += 1
    return found


@pytest.mark.slow
def test_forward_back_forward_done(released: Released, capsys: pytest.CaptureFixture[str]) -> None:
    here = released.options
    assert run(["release", "build", "v2", *here]) == ExitCode.PASS
    held = _json(["deploy", "v2", "--quiet", *here], capsys)
    assert held["result"]["state"] == "holding"  # type: ignore[index]
    assert released.live() == {"gateway": "v2", "engine": "v2"}
    assert Path(str(held["report"])).is_file()
    assert "holdfast rollback" in str(_json(["status", *here], capsys)["operation"])
    assert run(["rollback", "--quiet", *here]) == ExitCode.PASS
    assert released.live() == {"gateway": "v1", "engine": "v1"}
    assert run(["deploy", "v2", "--quiet", *here]) == ExitCode.PASS
    assert released.live() == {"gateway": "v2", "engine": "v2"}
    assert run(["promote", "--quiet", *here]) == ExitCode.PASS
    assert all(len(colors) == 1 for colors in released.colors_running().values())
    assert run(["rollback", "--quiet", *here]) == ExitCode.REFUSED
    assert "holdfast deploy v1" in capsys.readouterr().err
    assert run(["deploy", "v2", "--quiet", *here]) == ExitCode.PASS
    assert "is live already" in capsys.readouterr().out


@pytest.mark.slow
def test_a_share_of_the_traffic_moves_and_comes_back(released: Released, capsys: pytest.CaptureFixture[str]) -> None:
    here, before = released.options, released.live()
    assert run(["release", "build", "v3", *here]) == ExitCode.PASS
    paused = _json(["deploy", "v3", "--weights", "30,100", "--until", "watch-30", "--quiet", *here], capsys)
    assert paused["result"]["state"] == "paused"  # type: ignore[index]
    shares = sorted(_colors(released).values())
    assert 0.2 * ANSWERS < shares[0] < 0.4 * ANSWERS, shares
    assert run(["deploy", "v2", "--quiet", *here]) == ExitCode.REFUSED
    assert "holdfast resume" in capsys.readouterr().err
    assert run(["abort", "--quiet", *here]) == ExitCode.PASS
    assert released.live() == before
    assert len(_colors(released)) == 1
    assert run(["deploy", "v3", "--weights", "30,100", "--hold", "0", "--quiet", *here]) == ExitCode.PASS
    assert released.live() == {"gateway": "v3", "engine": "v3"}


@pytest.mark.parametrize("text", ["", "0,100", "50,5", "5,5", "5,101", "half", "5;50"])
def test_weights_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="are not weights"):
        parse_shares(text)


def test_each_share_is_two_steps_before_the_switch_and_the_last_is_the_switch_itself() -> None:
    names = [step.name for step in with_shares(RELEASE, parse_shares("5,50,100"))]
    at = names.index("switch")
    assert names[at - 4 : at] == ["shift-5", "watch-5", "shift-50", "watch-50"]
    assert [name for name in names if "-5" not in name] == [step.name for step in RELEASE]


def test_a_small_share_is_watched_until_it_has_enough_answers_of_its_own() -> None:
    assert watch_seconds("watch", 8, 100) == 8
    assert watch_seconds("watch", 8, 5) > 60
