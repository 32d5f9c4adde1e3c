"""slow-300ms: every request takes 300 ms more, but no preview request.

Gates on the idle color send previews, so they cannot see it. Must be caught after the switch: the watch compares the
latency with the objective and with the old color, and the traffic goes back. The gateway only, so that a chat does not
meet it twice.
"""

import asyncio
import sys

from services.common.env import Identity
from services.serve import serve
from starlette.types import ASGIApp, Receive, Scope, Send

DELAY_S = 0.3


class Slow300Ms:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, identity: Identity) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let users wait, pass on everything else at once."""
        if bites(scope):
            await asyncio.sleep(DELAY_S)
        await self._app(scope, receive, send)


def bites(scope: Scope) -> bool:
    """True for users' requests; probes have no request id."""
    preview = any(name == b"x-holdfast-preview" for name, _ in scope["headers"])
    return "request_id" in scope and not preview


if __name__ == "__main__":
    serve(sys.argv[1], wrap_app=Slow300Ms)
