"""The parts of the image below the release: Debian by debootstrap, and the Python packages at their locked versions.

Each part is built once for what it depends on (the description, the lock) and kept in the cache.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from holdfast.errors import Refused
from holdfast.infra.images import cache
from holdfast.infra.images.archive import encode
from holdfast.infra.images.description import BIN, LIB, Description
from holdfast.infra.images.layer import Layer, read_layer, write_layer

Say = Callable[[str], None]
NOT_IN_A_LAYER = ("dev/", "proc/", "sys/", "run/", "tmp/", LIB, BIN, "opt/holdfast/release", "debootstrap")


def base_root(description: Description, say: Say) -> Path:
    """The Debian root file system; a debootstrap of two minutes the first time. Root only."""
    content = encode({"debian": description.debian, "packages": description.packages, "remove": description.remove})
    key = hashlib.sha256(content + str(description.user.id).encode()).hexdigest()[:12]
    root = cache.folder() / f"debian-{key}"
    if not root.exists():
        say(f"making a Debian {description.debian} root file system (about 2 min, once)")
        fresh = root.with_name(f"{root.name}.building")
        shutil.rmtree(fresh, ignore_errors=True)
        cache.run(debootstrap_argv(description, fresh), timeout=1200, way_out="check the network, then run it again")
        finish_root(description, fresh)
        fresh.rename(root)
    return root


def debootstrap_argv(description: Description, root: Path) -> list[str]:
    """In a mount namespace of its own: what debootstrap mounts goes away with it."""
    include = f"--include={','.join(description.packages)}"
    command = ["debootstrap", "--variant=minbase", include, description.debian, str(root)]
    return ["unshare", "--mount", "--propagation=private", "--", *command]


def finish_root(description: Description, root: Path) -> None:
    """Add the user, take away what no process reads and what differs from one making to the next."""
    user = description.user
    for file, line in (
        ("passwd", f"{user.name}:x:{user.id}:{user.id}:{user.name}:/tmp:/usr/sbin/nologin"),
        ("group", f"{user.name}:x:{user.id}:"),
    ):
        path = root / "etc" / file
        path.write_text(f"{path.read_text()}{line}\n")
    for name in description.remove:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    for name in ("etc/machine-id", "etc/hostname", "etc/resolv.conf", "etc/passwd-", "etc/group-", "etc/shadow-"):
        (root / name).unlink(missing_ok=True)


def base_layer(root: Path) -> Layer:
    """The layer of the root file system."""
    path = root.with_name(f"{root.name}.tar")
    return read_layer(path) if path.exists() else write_layer(path, root, ["."], keep=belongs_to_base)


def belongs_to_base(name: str) -> bool:
    """Whether a path is in the base layer; the folders for mounts are, empty."""
    return not any(name.startswith(prefix) for prefix in NOT_IN_A_LAYER)


def python_layer(description: Description, root: Path, checkout: Path, say: Say) -> Layer:
    """The layer of the Python packages: what pyproject.toml depends on, at the versions in requirements.lock."""
    inputs = b"".join((checkout / name).read_bytes() for name in ("pyproject.toml", "requirements.lock"))
    key = hashlib.sha256(inputs + encode({"python": description.python, "programs": description.programs})).hexdigest()
    path = root.with_name(f"{root.name}-python-{key[:12]}.tar")
    if path.exists():
        return read_layer(path)
    say("installing the Python packages (about 1 min, once a lock)")
    for name in (LIB, BIN):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True)
    argv = install_argv(description, root / LIB, checkout)
    cache.run(argv, timeout=900, way_out="check the network and the package index, then run it again")
    shutil.rmtree(root / LIB / "bin", ignore_errors=True)  # their first line names an interpreter of this machine
    for program, target in description.programs.items():
        (root / BIN / program).symlink_to(target)
    compile_bytecode(root, LIB)
    for old in root.parent.glob(f"{root.name}-python-*.tar"):
        old.unlink()
    return write_layer(path, root, [LIB, BIN], keep=lambda name: not name.endswith((".lock", "direct_url.json")))


def install_argv(description: Description, target: Path, checkout: Path) -> list[str]:
    """uv, wheels only, for the image's Python whichever one runs this."""
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    return [
        *(uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--link-mode=copy"),
        *("--requirements", str(checkout / "pyproject.toml"), "--constraints", str(checkout / "requirements.lock")),
        *("--python-version", description.python, "--python-platform", f"{platform.machine()}-manylinux_2_36"),
        *("--python", sys.executable, "--target", str(target)),
    ]


def compile_bytecode(root: Path, folder: str) -> None:
    """Compile by the image's own Python; the bytecode is not tied to file times, so it is the same each time."""
    argv = ["chroot", str(root), "/usr/bin/python3", "-m", "compileall", "-q", "-j1"]
    env = {"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0", "LANG": "C.UTF-8"}
    cache.run(
        [*argv, "--invalidation-mode=unchecked-hash", f"/{folder}"],
        timeout=600,
        env=env,
        way_out="delete the images folder in the cache, then run it again",
    )


def refuse_without_root() -> None:
    """debootstrap and chroot need root."""
    if os.geteuid() != 0:
        raise Refused(
            "the image cannot be built",
            because="debootstrap and chroot need root",
            way_out="run it as root, or build infra/images/Containerfile with a container engine",
        )
