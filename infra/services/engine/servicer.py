"""The engine's two calls: think, write the effect, answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc
from grpc.aio import ServicerContext

from services.common.config import Config
from services.common.env import Identity
from services.common.lifecycle import Lifecycle
from services.common.metrics import Metrics
from services.engine.answers import Answer, Pace, answer_of, tokens_of
from services.engine.call import Call, call_of
from services.engine.effects import Executed, KeyReused, MaybeExecuted, NotExecuted, Store
from services.wire import engine_pb2, engine_pb2_grpc

Context = ServicerContext[Any, Any]
# Trailing metadata of a failure that certainly left no effect; the gateway hands it to the client.
NOT_EXECUTED = (("x-request-executed", "no"),)


class EngineServicer(engine_pb2_grpc.EngineServicer):
    """Answers chats. An effect that could not be written is never acknowledged."""

    def __init__(
        self, identity: Identity, config: Config, lifecycle: Lifecycle, metrics: Metrics, store: Store
    ) -> None:
        self._served_by = engine_pb2.Instance(
            color=identity.color, instance=identity.instance, version=identity.version
        )
        self._typical_tokens = config.stream.tokens
        self._pace = Pace(config.latency, config.stream)
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._store = store

    async def Chat(self, request: engine_pb2.ChatRequest, context: Context) -> engine_pb2.ChatReply:
        """One reply. UNAVAILABLE when the effect could not be written, ALREADY_EXISTS when the key is another's."""
        begun = time.perf_counter()
        with self._lifecycle.request():
            call = call_of(context.invocation_metadata())
            await asyncio.sleep(self._pace.thinking_s(call.request_id))
            tokens = tokens_of(request.message, self._typical_tokens)
            executed = await self._execute("Chat", begun, call, answer_of(request.message, tokens), context)
            self._count("Chat", begun, executed)
            return engine_pb2.ChatReply(
                answer=executed.answer.answer,
                usage=_usage(executed),
                served_by=self._served_by,
                replayed=executed.replayed,
            )

    async def ChatStream(
        self, request: engine_pb2.ChatRequest, context: Context
    ) -> AsyncIterator[engine_pb2.ChatEvent]:
        """Tokens, then the effect, then `done`. A reader that is slow makes the next token wait."""
        begun = time.perf_counter()
        with self._lifecycle.request():
            call = call_of(context.invocation_metadata())
            tokens = tokens_of(request.message, self._typical_tokens)
            for token, gap_s in zip(tokens, self._pace.gaps_s(call.request_id, len(tokens)), strict=True):
                await asyncio.sleep(gap_s)
                yield engine_pb2.ChatEvent(token=engine_pb2.Token(text=token))
            executed = await self._execute("ChatStream", begun, call, answer_of(request.message, tokens), context)
            self._count("ChatStream", begun, executed)
            done = engine_pb2.Done(usage=_usage(executed), served_by=self._served_by, replayed=executed.replayed)
            yield engine_pb2.ChatEvent(done=done)

    async def _execute(self, route: str, begun: float, call: Call, answer: Answer, context: Context) -> Executed:
        try:
            return await self._store.execute(call, answer)
        except NotExecuted as error:
            await self._refuse(route, begun, context, grpc.StatusCode.UNAVAILABLE, str(error), NOT_EXECUTED)
        except MaybeExecuted as error:
            await self._refuse(route, begun, context, grpc.StatusCode.UNAVAILABLE, str(error))
        except KeyReused as error:
            await self._refuse(route, begun, context, grpc.StatusCode.ALREADY_EXISTS, str(error), NOT_EXECUTED)

    async def _refuse(
        self,
        route: str,
        begun: float,
        context: Context,
        code: grpc.StatusCode,
        details: str,
        trailing: tuple[tuple[str, str], ...] = (),
    ) -> NoReturn:
        self._metrics.answered(route, code.name, time.perf_counter() - begun)
        await context.abort(code, details, trailing)

    def _count(self, route: str, begun: float, executed: Executed) -> None:
        self._metrics.answered(route, "OK", time.perf_counter() - begun)
        self._metrics.used(executed.answer.usage.prompt_tokens, executed.answer.usage.completion_tokens)


def _usage(executed: Executed) -> engine_pb2.Usage:
    usage = executed.answer.usage
    return engine_pb2.Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
    )
