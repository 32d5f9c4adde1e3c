"""What a database holds: rows and their hash, table by table, in one snapshot; and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.errors import EnvironmentFailed
from holdfast.infra.recovery.manifest import PostgresFacts, TableFacts

if TYPE_CHECKING:
    from psycopg import Connection

# The text of a row must not depend on the session that reads it.
SESSION = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "search_path": "",
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "0",
}
TABLES = (
    "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
    "AND n.nspname !~ '^pg_(toast|temp)' ORDER BY 1, 2"
)
SEQUENCES = "SELECT schemaname || '.' || sequencename, last_value FROM pg_catalog.pg_sequences"
SETTINGS = (
    "SELECT unnest(setconfig) FROM pg_catalog.pg_db_role_setting WHERE setrole = 0 AND setdatabase = "
    "(SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) ORDER BY 1"
)
EXTENSIONS = "SELECT extname, extversion FROM pg_catalog.pg_extension"
ROLES = (
    "SELECT DISTINCT r.rolname FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid "
    "WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND r.rolname !~ '^pg_' AND r.rolname <> current_user "
    "AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) ORDER BY 1"
)
LARGE_OBJECTS = "pg_catalog.pg_largeobject"
MAY_READ = f"SELECT has_table_privilege('{LARGE_OBJECTS}', 'select')"


@dataclass(frozen=True)
class Snapshot:
    """An open snapshot of a database. `name`: what pg_dump takes; `at`: the server's clock then (Unix seconds)."""

    connection: Connection[Any]
    name: str
    at: float
    sequences: dict[str, int]

    def facts(self) -> PostgresFacts:
        """Read every row of every table of the snapshot."""
        tables = {f"{schema}.{table}": self._table(schema, table) for schema, table in self._rows(TABLES)}
        if self._rows(MAY_READ)[0][0] and (large := self._table("pg_catalog", "pg_largeobject")).rows:
            tables[LARGE_OBJECTS] = large
        return PostgresFacts(
            version=str(self._rows("SHOW server_version")[0][0]).split()[0],
            at=self.at,
            revision=self._revision(),
            tables=tables,
            sequences=self.sequences,
            extensions={str(name): str(version) for name, version in self._rows(EXTENSIONS)},
            roles=[str(role) for (role,) in self._rows(ROLES)],
            settings=[str(setting) for (setting,) in self._rows(SETTINGS)],
        )

    def _table(self, schema: str, table: str) -> TableFacts:
        """Add up the rows' MD5 sums in two halves of 60 bits each: a sum does not depend on the order.

        A row that is there twice counts twice, which an exclusive or would not see.
        """
        from psycopg import sql

        query = sql.SQL(
            "SELECT count(*), coalesce(sum(('x' || substr(h, 1, 15))::bit(60)::bigint), 0), "
            "coalesce(sum(('x' || substr(h, 16, 15))::bit(60)::bigint), 0) "
            "FROM (SELECT md5(ROW(t.*)::text) AS h FROM ONLY {} AS t) AS hashes"
        ).format(sql.Identifier(schema, table))
        rows, first, second = self.connection.execute(query).fetchall()[0]
        return TableFacts(rows=int(rows), hash=f"{int(first):x}-{int(second):x}")

    def _revision(self) -> str | None:
        """Alembic's, wherever its table is; None where nothing was migrated by it."""
        from psycopg import sql

        for schema, table in self._rows(TABLES):
            if table == "alembic_version":
                query = sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(schema, table))
                row = self.connection.execute(query).fetchone()
                return str(row[0]) if row else None
        return None

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode()).fetchall()


@contextmanager
def snapshot_of(dsn: str) -> Iterator[Snapshot]:
    """Open a snapshot and keep it: what is read and dumped in it is of one instant, while writes go on.

    Raises EnvironmentFailed when the database does not answer.
    """
    import psycopg

    options = " ".join(f"-c {key}={value.replace(' ', chr(92) + ' ')}" for key, value in SESSION.items())
    try:
        with psycopg.connect(dsn, connect_timeout=5, options=options) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            # Sequences know no snapshot. Read first, they are a lower bound of what a dump will hold.
            found = connection.execute(
                b"SELECT pg_export_snapshot(), extract(epoch from clock_timestamp())::float8"
            ).fetchone()
            name, at = found if found else ("", 0.0)
            sequences = {str(key): int(value) for key, value in connection.execute(SEQUENCES.encode()) if value}
            yield Snapshot(connection=connection, name=str(name), at=float(at), sequences=sequences)
    except psycopg.Error as error:
        raise EnvironmentFailed(
            "the database could not be read",
            because=(str(error).strip().splitlines() or [type(error).__name__])[0],
            way_out="see `holdfast status` and `holdfast logs`, then run the command again",
        ) from error


def read_facts(dsn: str) -> PostgresFacts:
    """What a database holds now."""
    with snapshot_of(dsn) as snapshot:
        return snapshot.facts()


def database_differences(expected: PostgresFacts, found: PostgresFacts) -> list[str]:
    """What is not as it was, in words, table by table; empty when all is equal.

    A sequence may be ahead, because others go on drawing from it; it must not be behind, or ids would be given twice.
    """
    said = [f"table {name} is missing" for name in expected.tables if name not in found.tables]
    said += [f"table {name} was not there" for name in found.tables if name not in expected.tables]
    for name, table in expected.tables.items():
        other = found.tables.get(name, table)
        if other.rows != table.rows:
            said.append(f"table {name} has {other.rows} rows, and had {table.rows}")
        elif other.hash != table.hash:
            said.append(f"table {name} has its {table.rows} rows, but not with the same content")
    said += [
        f"sequence {name} is at {found.sequences.get(name, 0)}, and was at {value}"
        for name, value in expected.sequences.items()
        if found.sequences.get(name, 0) < value
    ]
    said += [f"setting {setting} is missing" for setting in expected.settings if setting not in found.settings]
    said += [f"extension {name} is missing" for name in expected.extensions if name not in found.extensions]
    if expected.revision != found.revision:
        said.append(f"the schema is at {found.revision or 'no revision'}, and was at {expected.revision}")
    return said
