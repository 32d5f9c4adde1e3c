"""What all tests share: the seed of this run's samples, printed so that the run can be repeated."""

import os

import hypothesis
import pytest
from support import sample

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile("holdfast", deadline=None, print_blob=True)
hypothesis.settings.load_profile("holdfast")


def pytest_configure(config: pytest.Config) -> None:
    seed = os.environ.setdefault("HOLDFAST_SEED", str(sample.seed_of_commit(config.rootpath)))
    if not seed.isdecimal():
        raise pytest.UsageError(f"HOLDFAST_SEED must be a whole number, got {seed!r}")


def pytest_report_header() -> str:
    points = "every point" if sample.whole() else "a sample"
    return f"HOLDFAST_SEED={sample.seed()} · kill and fault suites: {points}"
