"""docs/recovery.md says what the protocols are, and names every plant."""

from __future__ import annotations

import pytest
from support.stack import ROOT

from holdfast.infra.bluegreen.page import said
from holdfast.infra.recovery import failover, plants
from holdfast.infra.recovery.context import RestoreContext
from holdfast.infra.recovery.restore import RESTORE_HERE, RESTORE_NEW
from holdfast.journal import Step, nothing

PAGE = (ROOT / "docs" / "recovery.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("steps", [RESTORE_NEW, RESTORE_HERE])
def test_the_page_lists_every_step_in_its_order(steps: tuple[Step[RestoreContext], ...]) -> None:
    rows = [
        f"| {step.name} | {said(step.act.__doc__)} | {'' if step.undo is nothing else said(step.undo.__doc__) + ' '}|"
        for step in steps
    ]
    assert "\n".join(rows) + "\n\n" in PAGE


def test_the_page_names_every_plant() -> None:
    assert [plant for plant in (*plants.PLANTS, *failover.PLANTS) if f"`{plant}`" not in PAGE] == []
