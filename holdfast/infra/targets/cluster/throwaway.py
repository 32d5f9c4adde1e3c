"""Throw-away stacks on a cluster, such as a verification's: a namespace named after the process that owns it.

A process that was killed leaves its namespace; the next one on the same machine ends those whose owner is gone.
"""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path

import msgspec

from holdfast.children import Identity, identify
from holdfast.infra.program.place import cluster_of
from holdfast.infra.stack import Stack
from holdfast.infra.targets.cluster.access import Access
from holdfast.infra.targets.cluster.api import Api

NAME = re.compile(r".+-x(?P<boot>[0-9a-f]{8})-(?P<pid>\d+)-(?P<started>\d+)-[a-z]+")


def throwaway(stack: Stack) -> Stack:
    """The stack under a name of this process's own, with what a release needs: no watchers, tenants or drills.

    Nor the stack's Gateway: users come in there, and a second route would stand beside theirs. Selectors move it then.
    """
    cluster = cluster_of(stack)
    linked = {link.to for link in stack.links.values()}
    needed = {name: part for name, part in cluster.parts.items() if name in linked or name in stack.stores}
    less = msgspec.structs.replace(cluster, parts=needed, sandboxes={}, tenants={}, drills=None, switch="", gateway="")
    me = identify(os.getpid())
    assert me is not None  # noqa: S101 - this process runs
    return msgspec.structs.replace(stack, name=f"{stack.name}-x{_boot()}-{me.pid}-{me.started}", cluster=less)


def sweep(access: Access) -> list[str]:
    """End the namespaces of owners on this machine that are gone; returns their names."""
    api = Api(access.kubeconfig, "default")
    gone = [
        name
        for found in api.list("Namespace", {"app.kubernetes.io/managed-by": "holdfast"})
        if is_orphan(name := str(found["metadata"]["name"])) and "deletionTimestamp" not in found["metadata"]
    ]
    for name in gone:
        api.delete("Namespace", name)
    return gone


def is_orphan(namespace: str) -> bool:
    """Whether a namespace is a throw-away one of this machine, and its owner is gone."""
    found = NAME.fullmatch(namespace)
    if found is None or found["boot"] != _boot():
        return False
    return not Identity(pid=int(found["pid"]), started=int(found["started"])).alive()


def _boot() -> str:
    """This start of this machine, in eight digits, and which processes can be seen from here."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    seen = str(Path("/proc/self/ns/pid").readlink())
    return f"{zlib.crc32((boot + seen).encode()):08x}"
