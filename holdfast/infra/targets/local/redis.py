"""Redis from PATH or its wheel: a private folder, TCP on loopback, a password.

The append-only file is written to the kernel before each answer (it survives SIGKILL) and synced every second: no
acknowledgement of the reference stack rests on Redis alone, its effects are in PostgreSQL.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from holdfast.children import poll
from holdfast.config import Secret
from holdfast.durable import replace_file
from holdfast.errors import EnvironmentFailed
from holdfast.infra.supervisor.unit import Unit
from holdfast.infra.targets.local.ports import HOST
from holdfast.infra.wheels import redis_server


def redis_configuration(port: int, folder: Path, password: Secret) -> str:
    """The configuration file; the password must not stand in argv, which every user can read."""
    lines = {
        "bind": HOST,
        "port": str(port),
        "protected-mode": "yes",
        "requirepass": password.reveal(),
        "dir": f'"{folder}"',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "daemonize": "no",
        "set-proc-title": "no",  # the title is written over the environment, where the stack's tag is
    }
    return "".join(f"{key} {value}\n" for key, value in lines.items())


def redis_unit(name: str, port: int, folder: Path, password: Secret, log: Path) -> Unit:
    """The server, with its configuration written beside its data."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(folder / "redis.conf", redis_configuration(port, folder, password).encode(), mode=0o600)
    return Unit(
        name=name,
        argv=[str(redis_server()), str(folder / "redis.conf")],
        env={"PATH": "/usr/bin:/bin"},
        log=str(log),
    )


def url(port: int, password: Secret) -> str:
    """The URL of the server, with its password."""
    return f"redis://:{password.reveal()}@{HOST}:{port}/0"


def wait_for_redis(name: str, port: int, password: Secret, *, timeout: float) -> None:
    """Wait until the server has loaded its data and answers."""
    last = ""
    for _ in poll(time.monotonic() + timeout):
        try:
            last = _ping(port, password)
        except OSError as error:
            last = str(error)
        if last.endswith("+PONG\r\n"):
            return
    raise EnvironmentFailed(
        f"Redis ({name}) did not answer within {timeout:g} s",
        because=last.strip(),
        way_out=f"see `holdfast logs {name}`",
    )


def _ping(port: int, password: Secret) -> str:
    with socket.create_connection((HOST, port), timeout=1) as connection, connection.makefile("rwb") as file:
        file.write(f"AUTH {password.reveal()}\r\nPING\r\n".encode())
        file.flush()
        return (file.readline() + file.readline()).decode(errors="replace")
