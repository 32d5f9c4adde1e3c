"""A stack under the command line: which version serves, which colors run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from holdfast.content import content_root
from holdfast.infra.stack import COLORS
from holdfast.pipelines import stacks

QUICK = {"watch_s": 4.0, "drain_s": 3.0, "propagation_timeout_s": 5.0}


@dataclass(frozen=True)
class Released:
    """A stack by its YAML and its home; every command takes both."""

    stack: str
    home: str

    @property
    def options(self) -> list[str]:
        """The options that name it."""
        return ["--stack", self.stack, "--home", self.home]

    def live(self) -> dict[str, str]:
        """Which version serves, by service."""
        found = stacks.stack_status(self.stack, self.home)
        return {s.name: c.version for s in found.services for c in s.colors if c.weight == 100}

    def colors_running(self) -> dict[str, set[str]]:
        """Which colors have a process, by service."""
        units = {unit.name for unit in stacks.stack_status(self.stack, self.home).units}
        return {
            service: {color for color in COLORS if any(unit.startswith(f"{service}-{color}-") for unit in units)}
            for service in ("gateway", "engine")
        }


def quick_stack(folder: Path) -> str:
    """The sparkle stack with short windows, as a file; returns its path."""
    described = yaml.safe_load((content_root() / "infra/stacks/sparkle.yaml").read_text(encoding="utf-8"))
    described["release"] |= QUICK
    for service in described["services"].values():
        service["ready"]["timeout_s"] = 8
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump(described, allow_unicode=True), encoding="utf-8")
    return str(path)
