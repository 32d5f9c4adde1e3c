"""Verdicts: the worst wins, no verdict is unknown, and a gate that crashes never passes."""

from dataclasses import dataclass
from itertools import permutations

import pytest

from holdfast.errors import ExitCode
from holdfast.verdict import Outcome, Verdict, judge_safely, worst


@dataclass(frozen=True)
class Above:
    """A gate over a number."""

    limit: int
    name: str = "above"

    def judge(self, history: int) -> Verdict:
        ratio = self.limit / history
        return Verdict(gate=self.name, outcome=Outcome.PASS if ratio < 1 else Outcome.FAIL, because=f"{history}")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((Outcome.PASS, Outcome.UNKNOWN, Outcome.FAIL), Outcome.FAIL),
        ((Outcome.PASS, Outcome.UNKNOWN, Outcome.PASS), Outcome.UNKNOWN),
        ((Outcome.PASS, Outcome.PASS, Outcome.PASS), Outcome.PASS),
    ],
)
def test_the_worst_outcome_wins_in_any_order(outcomes: tuple[Outcome, ...], expected: Outcome) -> None:
    assert {worst(order) for order in permutations(outcomes)} == {expected}


def test_no_outcome_at_all_is_unknown() -> None:
    assert worst([]) is Outcome.UNKNOWN


def test_each_outcome_has_its_exit_code_and_only_pass_is_zero() -> None:
    codes = {outcome: outcome.exit_code for outcome in Outcome}
    assert codes == {
        Outcome.PASS: ExitCode.PASS,
        Outcome.UNKNOWN: ExitCode.UNKNOWN,
        Outcome.FAIL: ExitCode.FAIL,
    }
    assert [outcome for outcome, code in codes.items() if code == 0] == [Outcome.PASS]


def test_a_gate_judges() -> None:
    assert judge_safely(Above(3), 5).outcome is Outcome.PASS
    assert judge_safely(Above(7), 5).outcome is Outcome.FAIL


def test_a_gate_that_crashes_is_unknown_with_the_crash_as_its_reason() -> None:
    verdict = judge_safely(Above(3), 0)
    assert (verdict.gate, verdict.outcome) == ("above", Outcome.UNKNOWN)
    assert "ZeroDivisionError" in verdict.because


def test_an_interrupt_is_not_a_verdict() -> None:
    class Interrupted:
        name = "interrupted"

        def judge(self, history: int) -> Verdict:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge_safely(Interrupted(), 1)
