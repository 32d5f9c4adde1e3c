"""Effects: what the stack has done, read by the query that its YAML names."""

from __future__ import annotations

from holdfast.errors import EnvironmentFailed, UsageError
from holdfast.infra.stack import Effects
from holdfast.ledger import Effect

COLUMNS = ("request_id", "key", "color", "instance", "at")


def read_effects(effects: Effects, dsn: str, prefix: str) -> list[Effect]:
    """Read the effects of requests whose id begins with `prefix`, in the order of the query.

    Raises EnvironmentFailed when the database does not answer, UsageError when the query does not give the columns.
    """
    import psycopg
    from psycopg.rows import dict_row

    try:
        with psycopg.connect(dsn, connect_timeout=5, row_factory=dict_row) as connection:
            # The query is the owner's own text from the stack's YAML; only its parameter comes from a run.
            rows = connection.execute(effects.query.encode(), {"prefix": f"{_escaped(prefix)}%"}).fetchall()
    except psycopg.errors.UndefinedTable:
        return []
    except psycopg.Error as error:
        raise EnvironmentFailed(
            "the effects could not be read", because=str(error).strip().splitlines()[0], way_out="see `holdfast logs`"
        ) from error
    if rows and "request_id" not in rows[0]:
        raise UsageError(
            "effects.query gives no column request_id",
            because=f"its columns are {', '.join(rows[0])}; without that one no effect belongs to a request",
            way_out=f"let the query name its columns {', '.join(COLUMNS)}",
        )
    return [
        Effect(
            request_id=str(row["request_id"]),
            key=row.get("key"),
            color=row.get("color") or "",
            instance=row.get("instance") or "",
            at=row.get("at") or "",
        )
        for row in rows
    ]


def _escaped(prefix: str) -> str:
    """Keep LIKE's own characters from matching anything else."""
    return prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
