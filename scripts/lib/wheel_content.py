"""Build hook: the wheel carries the folders that operators edit, as data under holdfast/_content."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CONTENT_FOLDERS = ("infra", "chaos", "load", "migrations", "dashboards", "pipelines")


class WheelContent(BuildHookInterface):  # type: ignore[type-arg]
    """Adds each file of the content folders that exist; an editable install reads them from the checkout instead."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """`version` is "standard" for a wheel and "editable" for an editable one."""
        if version == "editable":
            return
        root = Path(self.root)
        files = (path for folder in CONTENT_FOLDERS for path in sorted((root / folder).rglob("*")) if path.is_file())
        for path in files:
            inside = path.relative_to(root)
            if "__pycache__" not in inside.parts and not any(part.startswith(".") for part in inside.parts):
                build_data["force_include"][str(path)] = f"holdfast/_content/{inside.as_posix()}"
