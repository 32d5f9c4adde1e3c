"""Pulumi's command line: the one on PATH, else the one that scripts/tools builds from its Go module."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from pulumi.automation import PulumiCommand

from holdfast.content import content_root
from holdfast.errors import EnvironmentFailed, HoldfastError, Refused
from holdfast.infra.targets.cluster.local.programs import build_tool

Say = Callable[[str], None]


def pulumi_command(folder: Path, say: Say) -> PulumiCommand:
    """The command line, ready to use. A build takes about five minutes, once a version. Raises Refused.

    The SDK looks for a folder `bin`: `folder` gets a link of that name to where a built one lies.
    """
    if shutil.which("pulumi"):
        return PulumiCommand()
    built, link = _built(say), folder / "bin"
    if not link.is_symlink() or link.readlink() != built:
        link.unlink(missing_ok=True)
        link.symlink_to(built)
    return PulumiCommand(root=str(folder))


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
