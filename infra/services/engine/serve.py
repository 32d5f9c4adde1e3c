"""The engine's main path: read the environment, open the pool, serve gRPC and the probes, drain, end."""

import asyncio
import contextlib

from grpc import aio
from starlette.applications import Starlette

from services.common import config, env, process
from services.common.http import HttpServer, PortTaken, bind
from services.common.lifecycle import Lifecycle
from services.common.metrics import Metrics
from services.common.probes import probe_routes
from services.common.seams import WrapApp, WrapStore
from services.engine.effects import EffectStore
from services.engine.readiness import Readiness
from services.engine.servicer import EngineServicer
from services.wire.engine_pb2_grpc import add_EngineServicer_to_server

SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a second listener
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),  # allows the gateway's keepalive
)
STOP_GRACE_S = 0.5


async def engine(wrap_app: WrapApp, wrap_store: WrapStore) -> None:
    """One engine from start to end. Raises BadEnv, BadConfig, PortTaken."""
    environment = env.engine_env()
    settings = config.load(environment.config)
    identity = environment.identity
    lifecycle = Lifecycle(identity, settings.drain)
    metrics = Metrics(identity, lifecycle)
    store = EffectStore(identity, environment.database_url, settings.postgres)
    readiness = Readiness(identity, store)

    probes = wrap_app(Starlette(routes=probe_routes(lifecycle, metrics, readiness.checks)), identity)
    admin = HttpServer(probes, bind(environment.host, environment.admin_port))
    servicer = EngineServicer(identity, settings, lifecycle, metrics, wrap_store(store))
    server = grpc_server(servicer, environment.host, environment.port)

    lifecycle.listen_for_signals()
    await store.open()
    watching = asyncio.create_task(readiness.watch())
    await server.start()
    await admin.start()
    process.started(identity, port=environment.port, admin_port=environment.admin_port)

    await lifecycle.until_ended()
    await server.stop(STOP_GRACE_S)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    await asyncio.gather(admin.stop(), store.close())


def grpc_server(servicer: EngineServicer, host: str, port: int) -> aio.Server:
    """A gRPC server that is bound but not started. Raises PortTaken."""
    server = aio.server(options=SERVER_OPTIONS)
    add_EngineServicer_to_server(servicer, server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise PortTaken(f"cannot listen on {host}:{port}: {error}") from error
    if bound != port:
        raise PortTaken(f"cannot listen on {host}:{port}: the address is in use")
    return server
