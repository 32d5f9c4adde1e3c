"""Typed configuration files: unknown keys are refused, and an error names the file and the path of the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from holdfast.errors import UsageError

T = TypeVar("T")


class Secret:
    """A value that never shows in a log, an error or a report."""

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping. Raises UsageError for a missing file, bad YAML or anything but a mapping."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} could not be read", because=str(error), way_out="check the path") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML", because=str(error), way_out="correct the file") from error
    if not isinstance(found, dict):
        raise UsageError(
            f"{path}: expected a mapping, got {_kind(found)}",
            because="its values are read by their keys",
            way_out="see the shipped files for the form",
        )
    return found


def convert(value: object, to: type[T], path: str) -> T:
    """Convert plain data to the type `to`. `path` is like `infra/stacks/sparkle.yaml: services.engine`."""
    try:
        return msgspec.convert(value, to)
    except msgspec.ValidationError as error:
        raise invalid(path, str(error)) from error


def convert_map(value: object, to: type[T], path: str) -> dict[str, T]:
    """Convert a mapping entry by entry, so that an error names the key of the entry."""
    if not isinstance(value, dict):
        raise invalid(path, f"Expected `object`, got `{_kind(value)}`")
    return {str(key): convert(entry, to, _join(path, str(key))) for key, entry in value.items()}


def invalid(path: str, message: str) -> UsageError:
    """Return the error for a wrong value; msgspec's ` - at `$.a[0]`` is folded into the path."""
    text, _, at = message.partition(" - at `$")
    where = at.rstrip("`").lstrip(".")
    full = _join(path, where) if where else path.rstrip(":")
    plain = text.replace("`", "").replace("Expected", "expected").replace("Object contains", "it contains")
    return UsageError(
        f"{full}: {plain}",
        because="a file is checked whole, and every key of it is known, before anything is done",
        way_out="correct that key; nothing was changed",
    )


def _join(path: str, key: str) -> str:
    return f"{path} {key}" if path.endswith(":") else f"{path}.{key}"


def _kind(value: object) -> str:
    names = {"NoneType": "nothing", "dict": "object", "list": "array"}
    return names.get(type(value).__name__, type(value).__name__)
