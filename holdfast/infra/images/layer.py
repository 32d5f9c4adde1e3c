"""Layers: a folder as a tar file whose bytes depend on the content alone, so that its digest does too."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

EPOCH = 1_735_689_600
"""2025-01-01: the latest time that a file in a layer can have. Older ones keep theirs: bytecode names its source's."""


@dataclass(frozen=True)
class Layer:
    """A tar file, not compressed, so that its digest is also its diff id."""

    path: Path
    digest: str
    size: int


def write_layer(path: Path, root: Path, tops: list[str], keep: Callable[[str], bool] = lambda name: True) -> Layer:
    """Write the folders `tops` of `root` as a layer; parents come along, sorted, owned by root.

    `keep` sees each path relative to `root`; a folder that is not kept is left out with all that is in it. Devices
    and sockets are left out. The file appears whole or not at all.
    """
    work = path.with_name(f".{path.name}.{os.getpid()}")
    with tarfile.open(work, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in _names(root, tops, keep):
            _add(tar, root, name)
    work.rename(path)
    return read_layer(path)


def read_layer(path: Path) -> Layer:
    """A layer that is in a file; its digest is that of the file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Layer(path, f"sha256:{digest}", path.stat().st_size)


def _names(root: Path, tops: list[str], keep: Callable[[str], bool]) -> Iterator[str]:
    parents = {str(parent) for top in tops for parent in Path(top).parents} - {"."}
    yield from sorted(parents - set(tops))
    for top in sorted(tops):
        yield from _walk(root, top, keep)


def _walk(root: Path, name: str, keep: Callable[[str], bool]) -> Iterator[str]:
    if name != "." and not keep(name):
        return
    if name != ".":
        yield name
    path = root / name
    if path.is_dir() and not path.is_symlink():
        for entry in sorted(path.iterdir()):
            yield from _walk(root, str(entry.relative_to(root)), keep)


def _add(tar: tarfile.TarFile, root: Path, name: str) -> None:
    path = root / name
    status = path.lstat()
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        return
    info = tarfile.TarInfo(name)
    info.mode = stat.S_IMODE(status.st_mode)
    info.mtime = min(int(status.st_mtime), EPOCH)
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
        tar.addfile(info)
    else:
        info.size = status.st_size
        with path.open("rb") as file:
            tar.addfile(info, file)
