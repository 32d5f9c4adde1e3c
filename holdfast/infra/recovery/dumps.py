"""Dumps of PostgreSQL in its own archive format, and databases made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.errors import EnvironmentFailed, Refused
from holdfast.infra.recovery.manifest import PostgresFacts
from holdfast.infra.recovery.programs import run_program
from holdfast.infra.wheels import postgres_program

if TYPE_CHECKING:
    from psycopg import Connection

MAINTENANCE = "postgres"
"""The database from which others are made, renamed and dropped."""
LOCK_WAIT_MS = 60_000
"""A table that somebody has locked for this long is not waited for."""
LISTS = ("search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries")
"""Settings whose value is a list with its own quotes: as one literal it would be one name."""
MAJORS = (16, 18)
"""The majors of the programs that there are; an older server is read by the next newer one."""


def connection_environment(dsn: str) -> dict[str, str]:
    """A DSN as libpq's variables: a password in argv could be read by every user of the machine."""
    from psycopg.conninfo import conninfo_to_dict

    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    found = conninfo_to_dict(dsn)
    return {variable: str(found[key]) for key, variable in names.items() if found.get(key)}


def database_of(dsn: str) -> str:
    """The name of the database that a DSN leads to."""
    return connection_environment(dsn)["PGDATABASE"]


def at_database(dsn: str, database: str) -> str:
    """The DSN of another database of the same server."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(dsn, dbname=database)


def program_for(major: int, name: str) -> str:
    """The program that fits a server: it must not be older than the server is. Raises Refused when none is."""
    for known in MAJORS:
        if major <= known:
            return str(postgres_program(name, known))
    raise Refused(
        f"PostgreSQL {major} cannot be backed up or restored",
        because=f"the newest {name} here is of PostgreSQL {MAJORS[-1]}, and refuses newer servers",
        way_out="use a holdfast whose wheel has it, or PostgreSQL's own programs",
    )


def dump_argv(program: str, snapshot: str, file: Path) -> list[str]:
    """pg_dump of one snapshot into a compressed archive."""
    wait = f"--lock-wait-timeout={LOCK_WAIT_MS}"
    return [program, "--format=custom", "--no-password", wait, f"--snapshot={snapshot}", f"--file={file}"]


def load_argv(program: str, database: str, file: Path) -> list[str]:
    """pg_restore into an empty database: all of it or nothing."""
    return [
        program,
        *("--exit-on-error", "--single-transaction", "--no-password"),
        f"--dbname={database}",
        str(file),
    ]


def dump(dsn: str, snapshot: str, file: Path, *, major: int, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Dump the database as `snapshot` sees it, and read the archive's list of contents back."""
    way_out = "see `holdfast logs` of the store and the free space, then run the command again"
    argv = dump_argv(program_for(major, "pg_dump"), snapshot, file)
    run_program(argv, connection_environment(dsn), doing="the dump", way_out=way_out, meanwhile=meanwhile)
    file.chmod(0o600)
    run_program([program_for(major, "pg_restore"), "--list", str(file)], {}, doing="the dump", way_out=way_out)


def load(file: Path, dsn: str, facts: PostgresFacts, *, major: int) -> list[str]:
    """Make the DSN's database anew from a dump; what it held is gone. `major` is that of the server.

    Returns the roles that had to be made, without login or password, so that owners and grants hold.
    """
    database = database_of(dsn)
    with maintenance(dsn) as connection:
        drop_database(connection, database)
        made = make_roles(connection, facts.roles)
        make_database(connection, database)
        configure_database(connection, database, facts.settings)
    run_program(
        load_argv(program_for(major, "pg_restore"), database, file),
        connection_environment(dsn),
        doing=f"loading {file.name}",
        way_out="name another backup (`holdfast backup --list`), or `holdfast restore --undo`",
    )
    return made


@contextmanager
def maintenance(dsn: str) -> Iterator[Connection[Any]]:
    """A connection beside the DSN's database. Raises EnvironmentFailed with what the server said."""
    import psycopg

    try:
        with psycopg.connect(at_database(dsn, MAINTENANCE), autocommit=True, connect_timeout=5) as connection:
            yield connection
    except psycopg.Error as error:
        raise EnvironmentFailed(
            "PostgreSQL did not carry out what a restore needs",
            because=str(error).strip().splitlines()[0],
            way_out="see `holdfast status` and `holdfast logs`, then `holdfast restore --resume` or `--undo`",
        ) from error


def databases(connection: Connection[Any]) -> set[str]:
    """The names of the server's databases."""
    return {str(name) for (name,) in connection.execute("SELECT datname FROM pg_database")}


def server_major(connection: Connection[Any]) -> int:
    """The server's major version."""
    return connection.info.server_version // 10000


def make_database(connection: Connection[Any], name: str) -> None:
    """Make an empty database, without what somebody may have put into template1."""
    from psycopg import sql

    connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))


def configure_database(connection: Connection[Any], name: str, settings: Sequence[str]) -> None:
    """Give a database settings of its own, each as `name=value`: a dump does not hold them."""
    from psycopg import sql

    for setting in settings:
        key, _, value = setting.partition("=")
        literal = sql.SQL(value) if key in LISTS else sql.Literal(value)
        change = sql.SQL("ALTER DATABASE {} SET {} TO {}")
        connection.execute(change.format(sql.Identifier(name), sql.Identifier(*key.split(".")), literal))


def drop_database(connection: Connection[Any], name: str) -> None:
    """Drop a database with whoever is connected to it; one that is not there is no error."""
    from psycopg import sql

    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def rename_database(connection: Connection[Any], name: str, to: str) -> None:
    """Rename a database: its clients are cut off for that moment, and may connect to the new name only.

    Nobody may connect to a database while it is renamed, or a client that is quick would be in the way.
    """
    from psycopg import sql

    old, new = sql.Identifier(name), sql.Identifier(to)
    connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(old))
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        [name],
    )
    connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(old, new))
    open_database(connection, to)


def open_database(connection: Connection[Any], name: str) -> None:
    """Let clients connect to a database: a kill may have come between its rename and that."""
    from psycopg import sql

    connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))


def make_roles(connection: Connection[Any], roles: Sequence[str]) -> list[str]:
    """Make the roles that are not there; returns them."""
    from psycopg import sql

    there = {str(name) for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    missing = [role for role in roles if role not in there]
    for role in missing:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    return missing
