"""The autoscalers of a service's two colors: frozen while a release moves the traffic, as planned before and after.

A color that takes traffic over must be as large as the one that it relieves; an autoscaler that sees an idle color
would shrink it just then.
"""

from __future__ import annotations

from contextlib import suppress

from holdfast.infra.program.model import Autoscale
from holdfast.infra.targets.cluster.api import Api, NotFound


def freeze(api: Api, service: str, color: str, size: int) -> None:
    """Bounds of an autoscaler that leave it no choice. Nothing where there is none."""
    bound(api, service, color, size, size)


def thaw(api: Api, service: str, color: str, plan: Autoscale | None) -> None:
    """The planned bounds again."""
    if plan:
        bound(api, service, color, plan.least, plan.most)


def bound(api: Api, service: str, color: str, least: int, most: int) -> None:
    """Write the bounds."""
    with suppress(NotFound):
        spec = {"minReplicas": max(1, least), "maxReplicas": max(1, most)}
        api.patch("HorizontalPodAutoscaler", f"{service}-{color}", {"spec": spec})
