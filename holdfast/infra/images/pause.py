"""The pause image: one static program, built once from infra/images/pause."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from holdfast.content import content_root
from holdfast.errors import Refused
from holdfast.infra.images import cache
from holdfast.infra.images.archive import write_archive
from holdfast.infra.images.layer import write_layer

NAME = "localhost/holdfast-pause:1"


def pause_program() -> Path:
    """The program, for the first process of a cluster; built by Go unless this source was built before."""
    source = content_root() / "infra" / "images" / "pause"
    folder = cache.folder() / f"pause-{_hash(source)}"
    program = folder / "pause"
    if not program.exists():
        fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
        argv = [
            go_program(),
            "build",
            "-C",
            str(source),
            "-trimpath",
            "-ldflags=-s -w",
            "-o",
            str(fresh / "pause"),
            ".",
        ]
        cache.run(argv, timeout=300, env=os.environ | {"CGO_ENABLED": "0"}, way_out="see Go's message above")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return program


def pause_archive() -> Path:
    """Its OCI archive."""
    program = pause_program()
    archive = program.with_name("pause.tar")
    if not archive.exists():
        layer = write_layer(program.with_name("layer.tar"), program.parent, ["pause"])
        write_archive(archive, NAME, [layer], {"Entrypoint": ["/pause"], "User": "65535:65535"})
    return archive


def go_program() -> str:
    """Go from PATH, or from the wheel that scripts/tools keeps in the cache."""
    kept = sorted(cache.base().glob("go-*/go/bin/go"))
    found = shutil.which("go") or (str(kept[-1]) if kept else "")
    if not found:
        raise Refused(
            "the pause program cannot be built",
            because="Go is neither on PATH nor in the cache of scripts/tools",
            way_out="install Go, or run scripts/tools actionlint, which fetches it",
        )
    return found


def _hash(source: Path) -> str:
    content = b"".join(path.read_bytes() for path in sorted(source.iterdir()))
    return hashlib.sha256(content).hexdigest()[:12]
