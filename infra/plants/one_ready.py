"""one-ready: only the instances whose name ends in -1 become ready.

Must be caught before the switch: half of the capacity is not the release, every instance is asked by its own address.
Both services.
"""

import sys

from services.common.env import Identity
from services.serve import serve
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class OneReady:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, identity: Identity) -> None:
        self._app = app
        self._first = identity.instance.endswith("-1")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse /readyz of the other instances, pass on everything else."""
        unready = JSONResponse({"ready": False, "checks": {"planted": False}}, status_code=503)
        refused = scope["path"] == "/readyz" and not self._first
        await (unready if refused else self._app)(scope, receive, send)


if __name__ == "__main__":
    serve(sys.argv[1], wrap_app=OneReady)
