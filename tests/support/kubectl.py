"""kubectl against one kubeconfig."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple


class Kubectl(NamedTuple):
    """The program and the kubeconfig that it is given."""

    program: Path
    kubeconfig: Path

    def __call__(self, *args: str, stdin: str = "") -> str:
        """Run it to its end; returns what it said."""
        argv = [str(self.program), f"--kubeconfig={self.kubeconfig}", *args]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def get(self, *args: str) -> dict[str, Any]:
        """`kubectl get … -o json`."""
        found: dict[str, Any] = json.loads(self("get", *args, "-o", "json"))
        return found
