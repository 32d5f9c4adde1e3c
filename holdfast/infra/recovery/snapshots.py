"""Snapshots of Redis: read as a replica would, looked at and loaded through a server of our own on a private socket."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from holdfast.children import poll
from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.recovery.keys import Databases, Index, batches, facts_of, read_index, write_index
from holdfast.infra.recovery.manifest import RedisFacts
from holdfast.infra.recovery.programs import mortal, run_program
from holdfast.infra.wheels import redis_cli, redis_server

if TYPE_CHECKING:
    from redis import Redis

LOADING_S = 600.0
"""A server of ours must have loaded a snapshot by then."""
WAY_OUT = "see `holdfast status` and `holdfast logs`, then run the command again"


@contextmanager
def redis_at(url: str) -> Iterator[Databases]:
    """The databases of a server. Raises EnvironmentFailed when it does not answer or refuses."""
    from redis import Redis, RedisError

    _check(url)

    def client(number: int) -> Redis:
        of_number = urlunsplit(urlsplit(url)._replace(path=f"/{number}"))
        return Redis.from_url(of_number, protocol=2, socket_connect_timeout=5, socket_timeout=60)

    server = Databases(client)
    try:
        yield server
    except RedisError as error:
        raise EnvironmentFailed("Redis did not do what was asked", because=str(error), way_out=WAY_OUT) from error
    finally:
        server.close()


def save_snapshot(url: str, file: Path) -> tuple[str, float]:
    """Write the server's whole content as of one instant to `file`, by replication: the server need not share a disk.

    Returns the server's version and the instant before which everything is in it (Unix seconds).
    """
    with redis_at(url) as server:
        version = str(server[0].info("server")["redis_version"])
        at = time.time()
    parts = urlsplit(url)
    argv = [str(redis_cli()), "-h", parts.hostname or "", "-p", str(parts.port or 6379), "--no-auth-warning"]
    if parts.username:
        argv += ["--user", unquote(parts.username)]
    password = {"REDISCLI_AUTH": unquote(parts.password)} if parts.password else {}
    run_program([*argv, "--rdb", str(file)], password, doing="the snapshot of Redis", way_out=WAY_OUT)
    file.chmod(0o600)
    return version, at


@contextmanager
def server_on(file: Path) -> Iterator[Databases]:
    """A server of our own that has loaded a snapshot, on a private socket; it changes no file, and ends with us.

    Loading proves the snapshot whole: it ends in a checksum. Raises Refused when the server cannot read it.
    """
    from redis import Redis, RedisError

    folder = Path(tempfile.mkdtemp(prefix="holdfast-"))  # a socket's path may have 107 bytes
    socket = folder / "redis"
    settings = {"port": "0", "unixsocket": str(socket), "dir": str(file.parent), "dbfilename": file.name, "save": ""}
    argv = [str(redis_server()), *(word for key, value in settings.items() for word in (f"--{key}", value))]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(mortal(argv), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    server = Databases(lambda number: Redis(unix_socket_path=str(socket), db=number, protocol=2, socket_timeout=60))
    try:
        for _ in poll(time.monotonic() + LOADING_S, every=0.02):
            if process.poll() is not None:
                raise _unreadable(file, (folder / "log").read_text(errors="replace"))
            try:
                if socket.exists() and server[0].ping():
                    break
            except RedisError:
                continue
        yield server
    finally:
        server.close()
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def describe_snapshot(file: Path, index_file: Path, *, version: str, at: float) -> tuple[RedisFacts, Index]:
    """Load a snapshot, and write down what is in it."""
    with server_on(file) as server:
        numbers = server.used()
        index = read_index(server, {number: number for number in numbers})
    write_index(index, index_file)
    index_file.chmod(0o600)
    return facts_of(index, version=version, at=at, databases=numbers), index


def load_snapshot(file: Path, url: str, numbers: dict[int, int]) -> int:
    """Put a snapshot's keys into a server, by its URL; returns how many.

    `numbers`: number in the snapshot → number in the server; what those held there is gone.
    """
    from redis import ResponseError

    loaded = 0
    with server_on(file) as source, redis_at(url) as target:
        for number, into in numbers.items():
            target[into].flushdb()
            for names in batches(source[number]):
                try:
                    loaded += _copy(source[number], target[into], names)
                except ResponseError as error:
                    raise Refused(
                        f"{file.name} cannot be loaded into this Redis",
                        because=str(error),
                        way_out="restore it into a Redis of the version that it was taken from, or a later one",
                    ) from error
    return loaded


def _copy(source: Redis, target: Redis, names: list[bytes]) -> int:
    ask = source.pipeline(transaction=False)
    for name in names:
        ask.dump(name)
        ask.pttl(name)
    answers = ask.execute()
    now = time.time()
    put = target.pipeline(transaction=False)
    for place, name in enumerate(names):
        value, left = answers[2 * place], answers[2 * place + 1]
        if value is not None:
            end = round(now * 1000 + left) if left >= 0 else 0
            put.restore(name, end, value, replace=True, absttl=bool(end))
    return len(put.execute())


def _check(url: str) -> None:
    scheme = urlsplit(url).scheme
    if scheme != "redis":
        raise Refused(
            f"a Redis at {scheme}:// is not backed up or restored",
            because="holdfast reads one server by redis://; Sentinels and clusters have several",
            way_out="name the master's own address",
        )


def _unreadable(file: Path, log: str) -> Refused:
    """What a server said that could not read a snapshot: the first line that tells of it, without its time."""
    lines = [line.split(" # ", 1)[-1] for line in log.splitlines() if " # " in line]
    told = [line for line in lines if re.search(r"RDB|signature|CRC|checksum|rror", line)]
    return Refused(
        f"{file.name} cannot be loaded",
        because=(told or lines or ["the server that should read it ended without a word"])[0],
        way_out="name another backup (`holdfast backup --list`), or use a Redis as new as the one it was taken from",
    )
