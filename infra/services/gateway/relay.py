"""A stream's events, from whoever has them: Redis, this gateway's own engine call, or another gateway.

    fresh ──► produce ──► done
                │ ▲
        late    ▼ │ released, or no progress for a second
    resumed ─► follow ──► done

Each event is in Redis before it is yielded, so a client that saw it can go on from it anywhere. Without Redis the
stream still runs, it only cannot be handed over; answers are deterministic, so even then a resume asks the engine again
and skips what the client has.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.common.config import Stream
from services.common.env import Identity
from services.common.metrics import Metrics
from services.gateway.ask import Ask
from services.gateway.engine_client import EngineClient
from services.gateway.event_log import Away, EventLog, Late
from services.gateway.sse import DONE, TOKEN, Event, event
from services.wire import engine_pb2

FOLLOW_POLL_S = 0.025


class Relay:
    """One stream of one client. `kept` is false once an event could not be written to Redis."""

    def __init__(
        self, identity: Identity, engine: EngineClient, log: EventLog, metrics: Metrics, config: Stream, ask: Ask
    ) -> None:
        self.kept = True
        self._metrics = metrics
        self._identity = identity
        self._engine = engine
        self._log = log
        self._config = config
        self._ask = ask
        # A stream is executed once whoever produces it, so it has a key even when its client gave none.
        self._key = ask.idempotency_key or f"stream:{ask.request_id}"
        self._producing = False

    async def events(self, position: int) -> AsyncGenerator[Event, None]:
        """The events after `position`, up to and including `done`. Raises Failure."""
        produce, late_at = position == 0, -1
        while True:
            # After `late` the event is there: what cannot be read at once never can.
            patience_s = 0.0 if late_at == position else self._config.takeover_s
            async with aclosing(self._produce(position) if produce else self._follow(position, patience_s)) as source:
                async for found in source:
                    position = found.number
                    yield found
                    if found.kind == DONE:
                        return
            if produce and late_at == position:
                self.kept = False  # late twice at one place: go on without Redis
            elif produce:
                produce, late_at = False, position
            else:
                produce = True

    async def hand_over(self) -> bool:
        """Let another gateway go on at once. False when the stream is not kept, so that it must end here."""
        try:
            if self.kept and self._producing:
                await self._log.release(self._ask.request_id)
        except Away:
            self.kept = False
        return self.kept

    async def _produce(self, position: int) -> AsyncGenerator[Event, None]:
        """Events of an own engine call. Ends without `done` when another producer was faster."""
        self._producing = True
        number = position
        async with aclosing(self._engine.events(self._ask, self._key, skip=position)) as engine_events:
            async for engine_event in engine_events:
                number += 1
                found = self._event(number, engine_event)
                try:
                    await self._keep(found, first=number == position + 1)
                except Late:
                    self._producing = False
                    return
                yield found

    async def _keep(self, found: Event, first: bool) -> None:
        if self.kept:
            try:
                await self._log.append(self._ask.request_id, found, first)
            except Away:
                self.kept = False
                self._metrics.stream_not_kept()

    async def _follow(self, position: int, patience_s: float) -> AsyncGenerator[Event, None]:
        """Events that somebody else writes. Ends without `done` when nobody did for `patience_s`."""
        last_progress = time.monotonic()
        try:
            while True:
                for found in await self._log.after(self._ask.request_id, position):
                    position, last_progress = found.number, time.monotonic()
                    patience_s = self._config.takeover_s
                    yield found
                if time.monotonic() - last_progress >= patience_s or await self._log.take_released(
                    self._ask.request_id
                ):
                    return
                await asyncio.sleep(FOLLOW_POLL_S)
        except Away:
            return

    def _event(self, number: int, engine_event: engine_pb2.ChatEvent) -> Event:
        if engine_event.HasField("token"):
            return event(number, TOKEN, text=engine_event.token.text)
        done = engine_event.done
        self._metrics.used(done.usage.prompt_tokens, done.usage.completion_tokens)
        return event(
            number,
            DONE,
            request_id=self._ask.request_id,
            usage=usage_json(done.usage),
            served_by=served_by_json(self._identity, done.served_by),
            replayed=done.replayed,
        )


def usage_json(usage: engine_pb2.Usage) -> dict[str, int]:
    """Token counts as providers name them."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def served_by_json(gateway: Identity, engine: engine_pb2.Instance) -> dict[str, dict[str, str]]:
    """Which processes answered."""
    return {
        "gateway": {"color": gateway.color, "instance": gateway.instance, "version": gateway.version},
        "engine": {"color": engine.color, "instance": engine.instance, "version": engine.version},
    }
