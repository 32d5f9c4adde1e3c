"""All checks, by name; and the refusal when one of them finds something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from holdfast.errors import HoldfastError, Refused
from holdfast.infra.policy import colors, images, limits, non_root, owner, plain_secrets, probes, unique
from holdfast.infra.policy.manifests import Manifest

Check = Callable[[Sequence[Manifest]], Iterator[str]]

CHECKS: dict[str, Check] = {
    "limits": limits.violations,
    "probes": probes.violations,
    "non-root": non_root.violations,
    "plain-secrets": plain_secrets.violations,
    "images": images.violations,
    "owner": owner.violations,
    "colors": colors.violations,
    "unique": unique.violations,
}
SHOWN = 20


def violations(manifests: Sequence[Manifest]) -> Iterator[tuple[str, str]]:
    """Check and sentence for everything that is wrong."""
    for name, check in CHECKS.items():
        yield from ((name, sentence) for sentence in check(manifests))


def require(manifests: Iterable[Manifest]) -> None:
    """Raise Refused with every violation when there is any; nothing has been registered then."""
    found = list(violations(list(manifests)))
    if found:
        raise refusal(found)


def refusal(found: Sequence[tuple[str, str]]) -> HoldfastError:
    """The error that names what was found."""
    lines = [f"{name}: {sentence}" for name, sentence in found[:SHOWN]]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return Refused(
        f"{len(found)} objects or fields break the policy; nothing of them was registered",
        because="\n    ".join([*lines, *more]),
        way_out="correct the stack's YAML, or the component that makes the object; docs/kubernetes.md lists the checks",
    )
