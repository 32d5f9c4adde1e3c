"""/healthz, /readyz, /servingz and /metrics: the routes that both services answer alike."""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.common.lifecycle import Lifecycle
from services.common.metrics import CONTENT_TYPE, Metrics

Checks = Callable[[], Mapping[str, bool]]


def probe_routes(lifecycle: Lifecycle, metrics: Metrics, checks: Checks) -> list[Route]:
    """Alive is: the loop turns. Ready is: every check holds and the process does not drain. Serving: drain or not.

    A load balancer that is told by routes where to send asks the last: a process that drains still serves.
    """

    async def healthz(request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(request: Request) -> Response:
        state = {"serving": not lifecycle.draining, **checks()}
        ready = all(state.values())
        return JSONResponse({"ready": ready, "checks": state}, status_code=200 if ready else 503)

    async def servingz(request: Request) -> Response:
        state = checks()
        return JSONResponse({"checks": dict(state)}, status_code=200 if all(state.values()) else 503)

    async def exposition(request: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/servingz", servingz),
        Route("/metrics", exposition),
    ]
