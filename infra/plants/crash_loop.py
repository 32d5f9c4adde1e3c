"""crash-loop: the process ends with exit code 1 about 0.3 s after it began to serve.

It can be ready for a moment. Must be caught before the switch: ready is asked several times in a row, and an instance
that ends while it is asked refuses the release. Both services.
"""

import asyncio
import os
import sys

from services.common.env import Identity
from services.serve import serve
from starlette.types import ASGIApp

DELAY_S = 0.3


def crash_soon(app: ASGIApp, identity: Identity) -> ASGIApp:
    """Start the clock when the app is built, and leave it as it is."""
    asyncio.get_running_loop().call_later(DELAY_S, os._exit, 1)
    return app


if __name__ == "__main__":
    serve(sys.argv[1], wrap_app=crash_soon)
