"""errors-20: one in five requests is answered 500, but no preview request.

Gates on the idle color send previews, so they cannot see it. Must be caught after the switch: the watch of the live
color fails and the traffic goes back. The gateway only, so that a chat does not meet it twice. The request id decides,
so a retry of the same request fails again and cannot hide it.
"""

import sys
import zlib

from services.common.env import Identity
from services.serve import serve
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Errors20:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, identity: Identity) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Fail one in five requests of users, pass on everything else."""
        failed = JSONResponse({"error": {"code": "INTERNAL", "message": "planted"}}, status_code=500)
        await (failed if bites(scope) else self._app)(scope, receive, send)


def bites(scope: Scope) -> bool:
    """True for one in five users' requests; probes have no request id."""
    preview = any(name == b"x-holdfast-preview" for name, _ in scope["headers"])
    return "request_id" in scope and not preview and zlib.crc32(scope["request_id"].encode()) % 5 == 0


if __name__ == "__main__":
    serve(sys.argv[1], wrap_app=Errors20)
