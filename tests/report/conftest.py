"""A run that went well and one in which things went wrong, with verdicts written by hand."""

import pytest
from support.history import verify_run

from holdfast.report.build import build_report
from holdfast.report.model import Report
from holdfast.verdict import Outcome, Verdict

LATENCY = Verdict(gate="latency", outcome=Outcome.PASS, because="p99 27.5 ms, limit 50 ms", evidence={"limit_ms": 50})


@pytest.fixture(scope="session")
def good() -> Report:
    lost = Verdict(gate="nothing-lost", outcome=Outcome.PASS, because="every success left one effect")
    return build_report(verify_run().history(), [lost, LATENCY])


@pytest.fixture(scope="session")
def bad() -> Report:
    verdicts = [
        Verdict(gate="nothing-lost", outcome=Outcome.FAIL, because="2 lost, 1 duplicated", evidence={"lost": 2}),
        LATENCY,
        Verdict(gate="recovery", outcome=Outcome.UNKNOWN, because="too little traffic after kill"),
    ]
    return build_report(verify_run(wrong=True).history(), verdicts)
