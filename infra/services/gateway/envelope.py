"""What every answer of the gateway has around it: ids in the headers, the announced close, counting."""

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common.env import Identity
from services.common.lifecycle import Lifecycle
from services.common.metrics import Metrics
from services.gateway.answers import failure_answer
from services.gateway.ask import request_id_of
from services.gateway.failure import Failure

COUNTED = frozenset({"/v1/whoami", "/v1/chat", "/v1/chat/stream"})


class Envelope:
    """ASGI middleware. Counts requests of COUNTED routes in flight and in the metrics; probes are not work."""

    def __init__(self, app: ASGIApp, identity: Identity, lifecycle: Lifecycle, metrics: Metrics) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._who = [
            (b"x-service-instance", identity.instance.encode()),
            (b"x-service-version", identity.version.encode()),
            (b"x-holdfast-color", identity.color.encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["path"] in COUNTED:
            await self._counted(scope, receive, send)
        else:
            await self._app(scope, receive, self._with_headers(send, self._who))

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, code = time.perf_counter(), "cut"

        async def counted(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = str(message["status"])
            await send(message)

        with self._lifecycle.request():
            try:
                await self._identified(scope, receive, counted)
            finally:
                self._metrics.answered(scope["path"], code, time.perf_counter() - begun)

    async def _identified(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request_id = request_id_of(Headers(scope=scope))
        except Failure as failure:
            await failure_answer(failure)(scope, receive, self._with_headers(send, self._who))
        else:
            scope["request_id"] = request_id
            headers = [*self._who, (b"x-request-id", request_id.encode())]
            await self._app(scope, receive, self._with_headers(send, headers))

    def _with_headers(self, send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                closing = [(b"connection", b"close")] if self._lifecycle.draining else []
                message["headers"] = [*message.get("headers", ()), *headers, *closing]
            await send(message)

        return sending
