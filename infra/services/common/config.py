"""The config of a color: config.json of its release, typed; unknown keys are refused."""

from pathlib import Path

import msgspec


class Chat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds until an engine call is given up; the largest request body in bytes."""

    deadline_s: float
    body_limit_bytes: int


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shape of a streamed answer, and how long its events are kept for a resume."""

    tokens: int
    gap_ms: float
    cap: int
    ttl_s: int
    takeover_s: float
    deadline_s: float


class Latency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The engine's lognormal thinking time: median * exp(sigma * z), cut at max_ms."""

    median_ms: float
    sigma: float
    max_ms: float


class Postgres(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size of the engine's pool, and its bounded waits in seconds."""

    pool_min: int
    pool_max: int
    wait_s: float
    statement_s: float


class Drain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds until a draining process ends although requests are in flight; quiet seconds before it ends without."""

    deadline_s: float
    linger_s: float


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that release.yaml says under `config`."""

    chat: Chat
    stream: Stream
    latency: Latency
    postgres: Postgres
    drain: Drain


class BadConfig(Exception):
    """The config cannot be read; the text is one line for a person."""


def load(path: str) -> Config:
    """Read config.json. Raises BadConfig that names the file and the key."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Config)
    except OSError as error:
        raise BadConfig(f"SERVICE_CONFIG {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise BadConfig(f"SERVICE_CONFIG {path}: {error}") from error
