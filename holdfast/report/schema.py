"""The published JSON Schema of `report.json`, made from the types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from holdfast.report.model import SCHEMA, Report

PUBLISHED = Path(__file__).with_name("schema.json")
"""The committed file; it comes with the wheel."""


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a report."""
    made = msgspec.json.schema(Report)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA}", "title": SCHEMA}
    return head | made


def schema_text() -> str:
    """What `schema.json` must hold."""
    return msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode() + "\n"
