"""Where a service can be wrapped without knowing it: its ASGI app, and where the engine's effects go."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from services.common.env import Identity

if TYPE_CHECKING:
    from services.engine.effects import EffectStore, Store

# The gateway's app has all its routes, the engine's the probes only.
WrapApp = Callable[[ASGIApp, Identity], ASGIApp]
WrapStore = Callable[["EffectStore"], "Store"]


def same_app(app: ASGIApp, identity: Identity) -> ASGIApp:
    """Not wrapped."""
    return app


def same_store(store: "EffectStore") -> "Store":
    """Not wrapped."""
    return store
