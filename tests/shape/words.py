"""Words that no file may hold: one machine's paths, registries' hosts, work put off. Run by scripts/check too."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from shape.tree import REPOSITORY, files

# Each word is assembled, so that this file does not hold it.
REGISTRY_HOSTS = (
    *("py" + "pi.org", "files.python" + "hosted.org"),
    *("proxy.go" + "lang.org", "sum.go" + "lang.org"),
    *("registry.npm" + "js.org", "crates" + ".io"),
)
MACHINE_PATH = re.compile(r"(?<![\w.~$}*-])/(?:ro" + r"ot|wo" + r"rk|ho" + r"me/[a-z]\w*)/")
PUT_OFF = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK|NotImplemented" + r"Error)\b")
SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY" + r"-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b")


def violations(root: Path) -> Iterator[str]:
    """`file:line: what`, for each forbidden word in the tree's text files."""
    for path in files(root):
        inside = path.relative_to(root)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            for what in _forbidden(line, in_package=inside.parts[0] == "holdfast"):
                yield f"{inside}:{number}: {what}"


def _forbidden(line: str, *, in_package: bool) -> Iterator[str]:
    yield from (f"registry host {host}" for host in REGISTRY_HOSTS if host in line)
    if found := MACHINE_PATH.search(line):
        yield f"path of one machine: {found.group()}"
    if SECRET.search(line):
        yield "looks like a secret"
    if in_package and (found := PUT_OFF.search(line)):
        yield f"work put off: {found.group()}"


if __name__ == "__main__":
    found = list(violations(REPOSITORY))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
