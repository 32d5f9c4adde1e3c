"""The gates over traffic: each a pure judge of a run's history, with its thresholds as fields."""

from holdfast.load.gates.error_ratio import ErrorRatio
from holdfast.load.gates.generator import Generator
from holdfast.load.gates.latency import Latency
from holdfast.load.gates.nothing_lost import NothingLost
from holdfast.load.gates.propagation import Propagation
from holdfast.load.gates.recovery import Recovery

__all__ = ["ErrorRatio", "Generator", "Latency", "NothingLost", "Propagation", "Recovery"]
