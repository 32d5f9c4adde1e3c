"""The environment of a service: all that it is told, read once at the start."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn


@dataclass(frozen=True, slots=True)
class Identity:
    """Which process this is; answers and effect rows carry it."""

    service: str
    color: str
    instance: str
    version: str


@dataclass(frozen=True, slots=True)
class GatewayEnv:
    """What the gateway is told. `engine_authority` is the :authority by which Envoy picks the engine's color."""

    identity: Identity
    host: str
    port: int
    config: str
    engine_address: str
    engine_authority: str
    redis_url: str


@dataclass(frozen=True, slots=True)
class EngineEnv:
    """What the engine is told. `admin_port` serves /healthz, /readyz and /metrics by HTTP."""

    identity: Identity
    host: str
    port: int
    admin_port: int
    config: str
    database_url: str


class BadEnv(Exception):
    """A variable is absent or not usable; the text is one line for a person."""


def gateway_env(environ: Mapping[str, str] = os.environ) -> GatewayEnv:
    """The gateway's environment. Raises BadEnv."""
    return GatewayEnv(
        identity=_identity("gateway", environ),
        host=_text(environ, "SERVICE_HOST"),
        port=_port(environ, "SERVICE_PORT"),
        config=_text(environ, "SERVICE_CONFIG"),
        engine_address=_text(environ, "ENGINE_ADDRESS"),
        engine_authority=_text(environ, "ENGINE_AUTHORITY"),
        redis_url=_text(environ, "REDIS_URL"),
    )


def engine_env(environ: Mapping[str, str] = os.environ) -> EngineEnv:
    """The engine's environment. Raises BadEnv."""
    return EngineEnv(
        identity=_identity("engine", environ),
        host=_text(environ, "SERVICE_HOST"),
        port=_port(environ, "SERVICE_PORT"),
        admin_port=_port(environ, "SERVICE_ADMIN_PORT"),
        config=_text(environ, "SERVICE_CONFIG"),
        database_url=_text(environ, "DATABASE_URL"),
    )


def refuse_to_start(service: str, problem: str, exit_code: int = 2) -> NoReturn:
    """One line on stderr, then the end: 2 for usage or config, 1 for a start that the machine refused."""
    print(f"{service}: {problem}", file=sys.stderr, flush=True)
    sys.exit(exit_code)


def _identity(service: str, environ: Mapping[str, str]) -> Identity:
    return Identity(
        service=service,
        color=_text(environ, "SERVICE_COLOR"),
        instance=_text(environ, "SERVICE_INSTANCE"),
        version=_text(environ, "SERVICE_VERSION"),
    )


def _text(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise BadEnv(f"{name} is not set; the stack's supervisor sets it, see infra/services/README.md")
    return value


def _port(environ: Mapping[str, str], name: str) -> int:
    value = _text(environ, name)
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise BadEnv(f"{name} must be a port from 1 to 65535, got {value!r}")
    return int(value)
