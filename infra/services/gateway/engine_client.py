"""The gateway's side of the engine link: one HTTP/2 channel, calls with a deadline, failures in the client's words."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import grpc
from grpc import aio

from services.common.config import Config
from services.gateway.ask import Ask, Metadata
from services.gateway.failure import Failure
from services.wire import engine_pb2
from services.wire.engine_pb2_grpc import EngineStub

if TYPE_CHECKING:
    from services.wire.engine_pb2_grpc import EngineAsyncStub

RECONNECT_FIRST_MS, RECONNECT_LONGEST_MS = 100, 1_000
# A peer that went silent is noticed after 13 s at most; only while calls are open, so an idle link stays idle.
KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS = 10_000, 3_000

# What gRPC and Envoy write into `details` when a call was never handed to an engine. Sources: gRPC core's load
# balancing policies ("failed to connect to all addresses"); Envoy's local replies: no host to pick, and its stream
# reset reasons of a connection never made, of an open circuit, of REFUSED_STREAM (RFC 9113 §8.7: not processed).
NEVER_DISPATCHED = (
    "failed to connect to all addresses",
    "no healthy upstream",
    "reset reason: local connection failure",
    "reset reason: remote connection failure",
    "reset reason: connection timeout",
    "reset reason: overflow",
    "reset reason: remote refused stream reset",
)
STREAM_ATTEMPTS = 3
STREAM_RETRY_PAUSE_S = 0.1


class EngineClient:
    """Calls the engine. Every error is a Failure."""

    def __init__(self, address: str, authority: str, config: Config) -> None:
        self._channel = aio.insecure_channel(address, options=channel_options(authority))
        self._stub: EngineAsyncStub = EngineStub(self._channel)
        self._deadline_s = config.chat.deadline_s
        self._stream_deadline_s = config.stream.deadline_s

    def connect(self) -> None:
        """Start connecting, so that the first request does not."""
        self._channel.get_state(try_to_connect=True)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def chat(self, ask: Ask) -> engine_pb2.ChatReply:
        """One reply. Raises Failure 503 ENGINE_UNAVAILABLE, 504 DEADLINE, 422, 502."""
        try:
            return await self._stub.Chat(
                engine_pb2.ChatRequest(message=ask.message),
                timeout=self._deadline_s,
                metadata=ask.metadata(ask.idempotency_key),
            )
        except aio.AioRpcError as error:
            raise failure_of(error, may_have_been_retried=ask.idempotency_key is not None) from error

    async def events(self, ask: Ask, idempotency_key: str, skip: int) -> AsyncGenerator[engine_pb2.ChatEvent, None]:
        """The events after the first `skip`. Another engine goes on when one is lost: the answer is the same, and the
        key lets it have one effect. Raises Failure."""
        seen = 0
        for attempt in range(1, STREAM_ATTEMPTS + 1):
            try:
                async with aclosing(self._numbered(ask, ask.metadata(idempotency_key))) as numbered:
                    async for number, event in numbered:
                        if number > max(seen, skip):
                            seen = number
                            yield event
                return
            except aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or attempt == STREAM_ATTEMPTS:
                    raise failure_of(error, may_have_been_retried=True) from error
                await asyncio.sleep(STREAM_RETRY_PAUSE_S * attempt)

    async def _numbered(self, ask: Ask, metadata: Metadata) -> AsyncGenerator[tuple[int, engine_pb2.ChatEvent], None]:
        """One call, its events counted from 1. Cancelled when the caller goes away."""
        call = self._stub.ChatStream(
            engine_pb2.ChatRequest(message=ask.message), timeout=self._stream_deadline_s, metadata=metadata
        )
        number = 0
        try:
            while (event := await self._next(call)) is not None:
                number += 1
                yield number, event
        finally:
            call.cancel()

    async def _next(
        self, call: aio.UnaryStreamCall[engine_pb2.ChatRequest, engine_pb2.ChatEvent]
    ) -> engine_pb2.ChatEvent | None:
        try:
            async with asyncio.timeout(self._deadline_s):
                event = await call.read()
        except TimeoutError as error:
            raise Failure(504, "DEADLINE", f"the engine sent nothing for {self._deadline_s:g} s") from error
        return event if isinstance(event, engine_pb2.ChatEvent) else None


def channel_options(authority: str) -> list[tuple[str, str | int]]:
    """Fast reconnects, keepalive, no retries below us (the proxies retry what carries an idempotency key)."""
    return [
        ("grpc.default_authority", authority),
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_FIRST_MS),
        ("grpc.min_reconnect_backoff_ms", RECONNECT_FIRST_MS),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_LONGEST_MS),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.bdp_probe", 0),  # the window stays at 64 KiB: what an engine may send ahead of a slow reader
        ("grpc.use_local_subchannel_pool", 1),
    ]


def failure_of(error: aio.AioRpcError, may_have_been_retried: bool) -> Failure:
    """The client's view of a gRPC error.

    A call with an idempotency key may have been retried on the way: then the last attempt's innocence says nothing
    about the first, and no claim is made.
    """
    not_executed = not may_have_been_retried and _never_executed(error)
    details = error.details() or error.code().name
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return Failure(503, "ENGINE_UNAVAILABLE", details, not_executed)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return Failure(504, "DEADLINE", details, not_executed)
        case grpc.StatusCode.ALREADY_EXISTS:
            return Failure(422, "IDEMPOTENCY_KEY_REUSED", details)
        case _:
            return Failure(502, "ENGINE_ERROR", details, not_executed)


def _never_executed(error: aio.AioRpcError) -> bool:
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:  # no such method, or no such route on the way
        return True
    said = any(key == "x-request-executed" and value == "no" for key, value in error.trailing_metadata() or ())
    return said or any(phrase in (error.details() or "") for phrase in NEVER_DISPATCHED)
