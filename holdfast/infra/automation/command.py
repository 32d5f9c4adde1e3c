"""Pulumi's command line: the one on PATH, else the one that scripts/tools builds from its Go module."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from pulumi.automation import PulumiCommand
from semver import VersionInfo

from holdfast.content import content_root
from holdfast.errors import EnvironmentFailed, HoldfastError, Refused
from holdfast.infra.targets.cluster.local.programs import build_tool

Say = Callable[[str], None]


def pulumi_command(say: Say) -> PulumiCommand:
    """The command line, ready to use. A build takes about five minutes, once a version. Raises Refused."""
    if shutil.which("pulumi"):
        return PulumiCommand()
    command = object.__new__(PulumiCommand)  # the SDK looks for a folder `bin`, and asks what we know: the version
    command.command, command.version = str(_built(say) / "pulumi"), VersionInfo.parse(version("pulumi"))
    return command


def _built(say: Say) -> Path:
    try:
        return build_tool(content_root(), "pulumi", say)
    except (EnvironmentFailed, Refused) as error:
        raise _absent(error) from error


def _absent(error: HoldfastError) -> Refused:
    return Refused(
        "there is no Pulumi command line",
        because=f"none is on PATH, and none could be built: {error.what}",
        way_out="install Pulumi and have it on PATH, or run scripts/tools pulumi in a checkout",
    )
