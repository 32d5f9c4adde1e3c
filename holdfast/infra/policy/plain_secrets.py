"""No secret is written in plain: not in a variable, an argument, a ConfigMap or an annotation, nor in a Secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from holdfast.infra.policy.manifests import Manifest, containers, title

NAMES = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_KEY|CREDENTIAL)(_|$)", re.IGNORECASE)
IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@]*:(?![$<{])[^\s/@]+@")
KEY_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
Sealed = Callable[[Any], bool]


def violations(manifests: Sequence[Manifest], sealed: Sealed | None = None) -> Iterator[str]:
    """A sentence for each. `sealed` tells whether a Secret's value is one that only opens when it is registered."""
    is_sealed = sealed or (lambda value: not isinstance(value, str))
    for manifest in manifests:
        for container in containers(manifest):
            yield from _variables(manifest, container)
        if manifest.get("kind") == "Secret":
            for key, value in _values(manifest):
                if not is_sealed(value):
                    yield f"{title(manifest)}: {key} is written in plain; make it a secret of the configuration"
        else:
            for path, text in _texts(manifest):
                if IN_URL.search(text) or KEY_BLOCK.search(text):
                    yield f"{title(manifest)}: {path} holds a secret in plain"


def _values(manifest: Manifest) -> Iterator[tuple[str, Any]]:
    """The values of a Secret; none where the whole of them is sealed, as Pulumi's own class does."""
    for field in ("data", "stringData", "string_data"):
        if isinstance(found := manifest.get(field), Mapping):
            yield from found.items()


def _variables(manifest: Manifest, container: Mapping[str, Any]) -> Iterator[str]:
    for variable in container.get("env") or []:
        value = variable.get("value")
        if isinstance(value, str) and value and NAMES.search(variable["name"]) and not _harmless(value):
            yield f"{title(manifest)}: container {container['name']} has {variable['name']} in plain"


def _harmless(value: str) -> bool:
    """References, paths and switches are no secrets."""
    return value.startswith(("$(", "/")) or value.lower() in ("true", "false") or value.isdecimal()


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield path.lstrip("."), value
        case Mapping():
            for key, entry in value.items():
                yield from _texts(entry, f"{path}.{key}")
        case list() | tuple():
            for number, entry in enumerate(value):
                yield from _texts(entry, f"{path}[{number}]")
