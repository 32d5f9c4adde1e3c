"""A stream on its way to the client: unbuffered, stopped when the client goes, moved when the process drains."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.common.lifecycle import Lifecycle
from services.gateway import sse
from services.gateway.failure import Failure
from services.gateway.relay import Relay

IMMEDIATELY = 0.0  # in the loop's time, hence past


class EventStream(Response):
    """Sends `first`, then the other events. A slow client makes the next event wait, all the way to the engine."""

    def __init__(
        self,
        relay: Relay,
        first: sse.Event,
        events: AsyncGenerator[sse.Event, None],
        lifecycle: Lifecycle,
        moves_seen: int,
    ) -> None:
        super().__init__()
        self._relay = relay
        self._first = first
        self._events = events
        self._lifecycle = lifecycle
        self._moves_seen = moves_seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run until `done`, a failure, the client's end, or a move."""
        await send({"type": "http.response.start", "status": 200, "headers": list(sse.HEADERS)})
        async with aclosing(self._events):
            last_words = await self._last_words_after_events(receive, send)
        await send({"type": "http.response.body", "body": last_words, "more_body": False})

    async def _last_words_after_events(self, receive: Receive, send: Send) -> bytes:
        try:
            async with asyncio.timeout(None) as interruption:
                await self._send_events(receive, send, lambda: interruption.reschedule(IMMEDIATELY))
            return b""
        except Failure as failure:
            return sse.failed(failure.code, failure.message)
        except TimeoutError:
            await self._relay.hand_over()
            return sse.MOVE

    async def _send_events(self, receive: Receive, send: Send, interrupt: Callable[[], None]) -> None:
        client = asyncio.create_task(_watch_client(receive, interrupt))
        try:
            await send(_body(self._first))
            with self._lifecycle.on_move(lambda: interrupt() if self._relay.kept else None, self._moves_seen):
                async for event in self._events:
                    await send(_body(event))
        finally:
            client.cancel()


async def _watch_client(receive: Receive, interrupt: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    interrupt()


def _body(event: sse.Event) -> dict[str, object]:
    return {"type": "http.response.body", "body": event.encoded(), "more_body": True}
