"""What all tests share: the seed of this run's samples, printed so that the run can be repeated."""

import os

import pytest
from support import sample


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("HOLDFAST_SEED", str(sample.seed_of_commit(config.rootpath)))


def pytest_report_header() -> str:
    points = "every point" if sample.whole() else "a sample"
    return f"HOLDFAST_SEED={sample.seed()} · kill and fault suites: {points}"
