"""Alembic environment: PostgreSQL by psycopg 3, from any working folder.

The DSN comes from `-x dsn=postgresql://…`, else from DATABASE_URL. A statement waits for a lock a short time only, so
that a migration never queues live traffic behind itself.
"""

import os

from alembic import context
from sqlalchemy import create_engine, pool, text
from sqlalchemy.engine import URL, make_url

LOCK_TIMEOUT = "3s"


def database_url() -> URL:
    """The DSN, with the driver that this project has."""
    dsn = context.get_x_argument(as_dictionary=True).get("dsn") or os.environ.get("DATABASE_URL")
    if not dsn:
        raise SystemExit("migrations: no database, because neither -x dsn=… nor DATABASE_URL is set; give one of them")
    return make_url(dsn).set(drivername="postgresql+psycopg")


def run_offline() -> None:
    """Print the SQL instead of running it (`--sql`)."""
    context.configure(url=database_url(), literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        context.run_migrations()


def run_online() -> None:
    """Run the migrations, one transaction for each."""
    engine = create_engine(database_url(), poolclass=pool.NullPool, connect_args={"application_name": "alembic"})
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.commit()
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
