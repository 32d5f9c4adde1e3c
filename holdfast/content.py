"""Where the content folders (stacks, services, migrations, profiles…) are: beside the package, or inside the wheel."""

from __future__ import annotations

from pathlib import Path

from holdfast.errors import UsageError

FOLDERS = ("infra", "chaos", "load", "migrations", "dashboards", "pipelines")


def content_root() -> Path:
    """The folder that holds `infra/`, `load/`, … that came with this installation."""
    package = Path(__file__).resolve().parent
    shipped = package / "_content"
    return shipped if shipped.is_dir() else package.parent


def resolve(name: str, folder: str, suffix: str) -> Path:
    """Find the file for a name like `sparkle`: a path if it looks like one, else the working folder's, else ours.

    `folder` is like `infra/stacks`, `suffix` like `.yaml`. Raises UsageError with the names that exist.
    """
    if "/" in name or name.endswith((suffix, ".yml", ".json")):
        return _existing(Path(name), name)
    places = (Path.cwd() / folder, content_root() / folder)
    for place in places:
        candidate = place / f"{name}{suffix}"
        if candidate.is_file():
            return candidate
    known = sorted({found.stem for place in places if place.is_dir() for found in place.glob(f"*{suffix}")})
    raise UsageError(
        f"there is no {folder}/{name}{suffix}",
        because=f"neither the working folder nor the installation has it; known: {', '.join(known) or 'none'}",
        way_out="name one of those, or give a path with its suffix",
    )


def _existing(path: Path, name: str) -> Path:
    if path.is_file():
        return path
    raise UsageError(f"there is no file {name}", because="the path does not exist", way_out="check the path")
