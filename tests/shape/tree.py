"""The files of the repository under test, or of a planted tree."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def files(root: Path) -> Iterator[Path]:
    """What is committed or would be; in a planted tree everything."""
    if (root / ".git").exists():
        listed = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")
        candidates = [root / name for name in names if name]
    else:
        candidates = sorted(root.rglob("*"))
    return (path for path in candidates if path.is_file() and not path.is_symlink())


def plant(root: Path, texts: Mapping[str, str]) -> Path:
    """Write a small tree: path inside of it -> text."""
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
