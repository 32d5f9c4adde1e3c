"""Committed files that a test compares with what the code makes now. HOLDFAST_GOLDEN=write writes them anew."""

import os
from pathlib import Path


def assert_golden(path: Path, text: str) -> None:
    """Compare; a difference is read as a diff of the two texts."""
    if os.environ.get("HOLDFAST_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is missing; HOLDFAST_GOLDEN=write makes it"
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs; HOLDFAST_GOLDEN=write writes it anew"
