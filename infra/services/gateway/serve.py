"""The gateway's main path: read the environment, connect to the engine, serve, drain, end."""

import asyncio
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from services.common import config, env, process
from services.common.http import HttpServer, bind
from services.common.lifecycle import Lifecycle
from services.common.metrics import Metrics
from services.common.probes import probe_routes
from services.common.seams import WrapApp
from services.gateway.answers import on_bug, on_failure, on_http_exception
from services.gateway.engine_client import EngineClient
from services.gateway.envelope import Envelope
from services.gateway.event_log import EventLog
from services.gateway.failure import Failure
from services.gateway.routes import Routes


async def gateway(wrap_app: WrapApp) -> None:
    """One gateway from start to end. Raises BadEnv, BadConfig, PortTaken."""
    environment = env.gateway_env()
    settings = config.load(environment.config)
    identity = environment.identity
    lifecycle = Lifecycle(identity, settings.drain)
    metrics = Metrics(identity, lifecycle)
    engine = EngineClient(environment.engine_address, environment.engine_authority, settings)
    log = EventLog(identity, environment.redis_url, settings.stream)
    loaded = False

    def checks() -> Mapping[str, bool]:
        return {"loaded": loaded}

    routes = Routes(identity, settings, lifecycle, metrics, engine, log).table()
    app = wrap_app(build_app([*routes, *probe_routes(lifecycle, metrics, checks)]), identity)
    listener = bind(environment.host, environment.port)
    server = HttpServer(Envelope(app, identity, lifecycle, metrics), listener)

    lifecycle.listen_for_signals()
    engine.connect()
    await server.start()
    await asyncio.to_thread(log.load)
    loaded = True
    process.started(identity, port=environment.port)

    await lifecycle.until_ended()
    await server.stop()
    await asyncio.gather(engine.close(), log.close())


def build_app(routes: list[Route]) -> Starlette:
    """The routes, with every error as JSON."""
    handlers = {Failure: on_failure, HTTPException: on_http_exception, Exception: on_bug}
    return Starlette(routes=routes, exception_handlers=handlers)
