"""The gateway's routes: who am I, chat, chat as a stream."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.common.config import Config
from services.common.env import Identity
from services.common.lifecycle import Lifecycle
from services.common.metrics import Metrics
from services.gateway.answers import json_answer
from services.gateway.ask import ask_of, last_event_id
from services.gateway.engine_client import EngineClient
from services.gateway.event_log import EventLog
from services.gateway.relay import Relay, served_by_json, usage_json
from services.gateway.streaming import EventStream


class Routes:
    """The handlers, with what they need."""

    def __init__(
        self,
        identity: Identity,
        config: Config,
        lifecycle: Lifecycle,
        metrics: Metrics,
        engine: EngineClient,
        log: EventLog,
    ) -> None:
        self._identity = identity
        self._config = config
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._engine = engine
        self._log = log

    def table(self) -> list[Route]:
        """Path, handler, methods."""
        return [
            Route("/v1/whoami", self.whoami, methods=["GET"]),
            Route("/v1/chat", self.chat, methods=["POST"]),
            Route("/v1/chat/stream", self.stream, methods=["GET", "POST"]),
        ]

    async def whoami(self, request: Request) -> Response:
        """Light: touches nothing but this process."""
        who = self._identity
        return json_answer(
            {"id": request.scope["request_id"], "color": who.color, "instance": who.instance, "version": who.version}
        )

    async def chat(self, request: Request) -> Response:
        """Ask the engine; the answer is sent after its effect is durable."""
        ask = await ask_of(request, self._config.chat.body_limit_bytes)
        reply = await self._engine.chat(ask)
        self._metrics.used(reply.usage.prompt_tokens, reply.usage.completion_tokens)
        return json_answer(
            {
                "request_id": ask.request_id,
                "answer": reply.answer,
                "usage": usage_json(reply.usage),
                "served_by": served_by_json(self._identity, reply.served_by),
                "replayed": reply.replayed,
            }
        )

    async def stream(self, request: Request) -> Response:
        """The first event is awaited before the answer begins, so that a failure until then has a status of its own."""
        moves_seen = self._lifecycle.moves
        position = last_event_id(request.headers)
        ask = await ask_of(request, self._config.chat.body_limit_bytes)
        relay = Relay(self._identity, self._engine, self._log, self._metrics, self._config.stream, ask)
        events = relay.events(position)
        first = await anext(events)
        return EventStream(relay, first, events, self._lifecycle, moves_seen)
