"""never-ready: the release starts, serves, and is never ready.

Must be caught before the switch: the release waits for every instance to be ready, and refuses when the time is over.
Both services.
"""

import sys

from services.common.env import Identity
from services.serve import serve
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class NeverReady:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, identity: Identity) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse /readyz, pass on everything else."""
        unready = JSONResponse({"ready": False, "checks": {"planted": False}}, status_code=503)
        await (unready if scope["path"] == "/readyz" else self._app)(scope, receive, send)


if __name__ == "__main__":
    serve(sys.argv[1], wrap_app=NeverReady)
