"""The instances of a release on this machine: names, environments and commands, as pure functions."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from holdfast.errors import UsageError
from holdfast.infra.release import Release
from holdfast.infra.stack import Service
from holdfast.infra.supervisor.unit import Unit
from holdfast.infra.targets.local.ports import HOST

PLACE = re.compile(r"\{([^{}]+)\}")
DRAIN_GRACE = 12.0
"""Seconds that an instance has to finish what is in flight: a little more than the services' own deadline."""


def instance_names(service: str, color: str, size: int) -> list[str]:
    """gateway-blue-1, gateway-blue-2, …"""
    return [f"{service}-{color}-{number}" for number in range(1, size + 1)]


def fill(text: str, values: Mapping[str, str], where: str) -> str:
    """Replace {name} by its value. Raises UsageError for a name that the stack does not have."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            raise UsageError(
                f"{where}: {{{name}}} is not known",
                because=f"known: {', '.join(sorted(values))}",
                way_out="write one of those, or add the link that it names to the stack's YAML",
            )
        return values[name]

    return PLACE.sub(value, text)


def instance_unit(
    name: str, service_name: str, service: Service, color: str, release: Release, values: Mapping[str, str], log: Path
) -> Unit:
    """The process of one instance. `values`: ports, links and stores by their names in the stack's YAML."""
    own = {
        **values,
        "host": HOST,
        "port": values[f"port:{name}"],
        "admin_port": values.get(f"port:{name}-admin", ""),
        "color": color,
        "version": release.version,
        "instance": name,
        "config": f"{release.path}/config.json",
    }
    command = release.manifest.services[service_name].command
    where = f"services.{service_name}.env"
    return Unit(
        name=name,
        argv=[fill(part, {"python": sys.executable}, f"release {release.version}") for part in command],
        env={
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "PYTHONPATH": release.path,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            **{key: fill(text, own, where) for key, text in service.env.items()},
        },
        cwd=release.path,
        log=str(log),
        order=2,
        grace=DRAIN_GRACE,
    )
