"""Pulumi's own command line: pinned versions agree; `pulumi up` in infra/ where its language host is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from program.conftest import Plane
from support.stack import ROOT

LANGUAGE_HOST = "pulumi-language-python"


def test_the_command_line_and_the_package_have_one_version() -> None:
    text = (ROOT / "tools/pulumi/go.mod").read_text()
    found = re.search(r"github\.com/pulumi/pulumi/pkg/v3 v([\d.]+)", text)
    assert found is not None
    assert found[1] == version("pulumi")


def test_the_program_of_infra_is_three_lines() -> None:
    lines = [line for line in (ROOT / "infra/__main__.py").read_text().splitlines() if line]
    assert len(lines) == 3
    assert yaml.safe_load((ROOT / "infra/Pulumi.yaml").read_text())["name"] == "holdfast"


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pulumi_up_in_infra_works_where_the_language_host_is_installed(plane: Plane, tmp_path: Path) -> None:
    if not shutil.which(LANGUAGE_HOST):
        pytest.skip(f"{LANGUAGE_HOST} is not on PATH: Pulumi's own program needs it, holdfast's verbs do not")
    (tmp_path / "state").mkdir()
    shutil.copytree(ROOT / "infra", tmp_path / "infra")
    env = os.environ | {
        "KUBECONFIG": str(plane.kubeconfig),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": "tests-only",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_PYTHON_CMD": sys.executable,
        "PATH": os.pathsep.join([plane.plugins, os.environ["PATH"]]),
    }

    def pulumi(*args: str) -> None:
        done = subprocess.run(
            ["pulumi", "--non-interactive", *args], cwd=tmp_path / "infra", env=env, check=False, timeout=300
        )
        assert done.returncode == 0, args

    pulumi("stack", "init", "sage-dev")
    for name in ("postgres-password", "monitoring-grafana-password"):
        pulumi("config", "set", "--secret", name, "tests-only")
    pulumi("config", "set", "wait", "false")
    pulumi("up", "--yes", "--skip-preview")
    pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    pulumi("destroy", "--yes", "--skip-preview")
