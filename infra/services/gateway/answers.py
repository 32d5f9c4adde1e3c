"""Answers of the gateway as JSON."""

from typing import Any, cast

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.failure import Failure

JSON = "application/json"


def json_answer(content: Any, status: int = 200) -> Response:
    """An answer with a JSON body."""
    return Response(msgspec.json.encode(content), status, media_type=JSON)


def failure_answer(failure: Failure) -> Response:
    """`x-request-executed: no` is a promise, so it is said of a server's error that certainly had no effect only."""
    answer = json_answer({"error": {"code": failure.code, "message": failure.message}}, failure.status)
    if failure.status >= 500 and failure.not_executed:
        answer.headers["x-request-executed"] = "no"
    return answer


async def on_failure(request: Request, error: Exception) -> Response:
    """Starlette's handler of Failure."""
    return failure_answer(cast(Failure, error))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's handler of unknown paths and methods."""
    refused = cast(HTTPException, error)
    answer = failure_answer(Failure(refused.status_code, refused.detail.upper().replace(" ", "_"), refused.detail))
    answer.headers.update(refused.headers or {})
    return answer


async def on_bug(request: Request, error: Exception) -> Response:
    """Starlette's handler of anything else; the traceback goes to stderr."""
    return failure_answer(Failure(500, "INTERNAL", type(error).__name__))
