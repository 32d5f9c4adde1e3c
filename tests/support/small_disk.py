"""A disk that is full: code runs in a child on a tmpfs of a few pages, in a user and mount namespace of its own.

The file system lives as long as the child; the machine's disks are never touched.
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MOUNT = 'mount -t tmpfs -o "$1" small "$2" && cd "$2" && shift 2 && exec "$@"'


@functools.cache
def available() -> bool:
    """Whether this machine lets its users make namespaces."""
    return subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False, timeout=10).returncode == 0


def on_small_disk(folder: Path, code: str, *, options: str = "size=64k") -> Any:
    """Run `code` with the small disk as its working folder; returns the JSON that it prints last."""
    if not available():
        pytest.skip("this machine does not allow user namespaces")
    argv = ["unshare", "-Urm", "sh", "-c", MOUNT, "sh", options, str(folder), sys.executable, "-P", "-c", code]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == [], "the small disk is gone with its namespace"
    return json.loads(done.stdout.splitlines()[-1])
