"""PostgreSQL from its wheel: a private data folder, TCP on loopback, a password, no Unix socket."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from holdfast.children import poll
from holdfast.config import Secret
from holdfast.durable import replace_file
from holdfast.errors import EnvironmentFailed
from holdfast.infra.supervisor.unit import Unit
from holdfast.infra.targets.local.ports import HOST
from holdfast.infra.wheels import as_ordinary_user, postgres_program

USER = "holdfast"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_level": "logical",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def initdb_argv(version: int, data: Path, password_file: Path) -> list[str]:
    """The command that makes a data folder."""
    return as_ordinary_user(
        [
            str(postgres_program("initdb", version)),
            f"--pgdata={data}",
            f"--username={USER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]
    )


def postgres_unit(name: str, version: int, data: Path, port: int, log: Path) -> Unit:
    """The server. SIGINT is PostgreSQL's fast shutdown: it does not wait for clients."""
    settings = [f"--{key.replace('_', '-')}={value}" for key, value in {**SETTINGS, "port": str(port)}.items()]
    return Unit(
        name=name,
        argv=as_ordinary_user([str(postgres_program("postgres", version)), "-D", str(data), *settings]),
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        log=str(log),
        stop_signal=signal.SIGINT,
        grace=4.0,
    )


def make_data(version: int, data: Path, password: Secret) -> None:
    """Make the data folder unless it is there. A folder left half-made by a kill is made anew."""
    complete = data.with_name(f"{data.name}.complete")
    if complete.exists():
        return
    if data.exists():
        shutil.rmtree(data)
    data.mkdir(parents=True, mode=0o700)
    password_file = data.with_name(f"{data.name}.password")
    replace_file(password_file, password.reveal().encode(), mode=0o600)
    try:
        done = subprocess.run(
            initdb_argv(version, data, password_file), capture_output=True, text=True, check=False, timeout=120
        )
    finally:
        password_file.unlink()
    if done.returncode:
        shutil.rmtree(data)
        raise EnvironmentFailed(
            "PostgreSQL's data folder could not be made",
            because=initdb_cause(done.stderr or done.stdout) or f"initdb ended with {done.returncode}",
            way_out=f"free space or fix the permissions of {data.parent}, then run the command again",
        )
    complete.touch()


def initdb_cause(said: str) -> str:
    """The line of initdb's output that says why it failed: the first error, for the lines after it only tidy up."""
    lines = said.strip().splitlines()
    errors = [line for line in lines if re.search(r"\b(?:PANIC|FATAL|ERROR|error):", line)]
    return next(iter([*errors, *reversed(lines)]), "").strip()


def dsn(port: int, password: Secret, database: str) -> str:
    """The URL of a database; it holds the password, so it goes into environments only, never into argv or a log."""
    return f"postgresql://{USER}:{password.reveal()}@{HOST}:{port}/{database}"


def wait_for_postgres(name: str, port: int, password: Secret, database: str, *, timeout: float) -> None:
    """Wait until the server takes connections, and make the database unless it is there."""
    import psycopg
    from psycopg import sql

    last = ""
    for _ in poll(time.monotonic() + timeout, every=0.05):
        try:
            with psycopg.connect(dsn(port, password, "postgres"), autocommit=True, connect_timeout=2) as connection:
                found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
                if found is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
                return
        except psycopg.OperationalError as error:
            last = str(error).strip().splitlines()[0]
    raise EnvironmentFailed(
        f"PostgreSQL ({name}) did not take connections within {timeout:g} s",
        because=last,
        way_out=f"see `holdfast logs {name}`",
    )
