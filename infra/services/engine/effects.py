"""The effect of a chat: one row in PostgreSQL, written before the answer; an idempotency key is executed once.

Claim and effect are one statement, hence one transaction: a key without its effect, or two effects of one key, cannot
be left behind by any crash. A concurrent claim of the same key waits for the first and then reads its answer.
"""

import asyncio
import logging
import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from services.common.config import Postgres
from services.common.env import BadEnv, Identity
from services.engine.answers import Answer
from services.engine.call import Call

AsyncConnection = psycopg.AsyncConnection[Any]

EXECUTE = """
WITH claimed AS (
    INSERT INTO idempotency_keys (key, request_id, answer)
    SELECT %(key)s::text, %(request_id)s::text, %(answer)s::jsonb WHERE %(key)s::text IS NOT NULL
    ON CONFLICT (key) DO NOTHING
    RETURNING key
)
INSERT INTO effects (request_id, idempotency_key, service, color, instance, version)
SELECT %(request_id)s::text, %(key)s::text, %(service)s::text, %(color)s::text, %(instance)s::text, %(version)s::text
WHERE %(key)s::text IS NULL OR EXISTS (SELECT FROM claimed)
RETURNING id
"""
STORED = "SELECT answer::text FROM idempotency_keys WHERE key = %(key)s"
SCHEMA_PRESENT = "SELECT to_regclass('effects') IS NOT NULL AND to_regclass('idempotency_keys') IS NOT NULL"

# The server ended the session (shutdown, crash of a sibling, connection failure): whether it committed is not known.
SESSION_ENDED = ("57P", "08")
# How long the pool tries to reconnect before it waits for the next request to ask. Its pauses double, so that a longer
# one would leave the engine without a connection many seconds after PostgreSQL is back.
RECONNECT_S = 2.0
CONNECT_TIMEOUT_S = 2


@dataclass(frozen=True, slots=True)
class Executed:
    """The answer that counts, and whether an earlier request with the same key wrote its effect."""

    answer: Answer
    replayed: bool


class NotExecuted(Exception):
    """Certainly no effect was written."""


class MaybeExecuted(Exception):
    """The connection was lost after the statement was sent: the effect may be there."""


class KeyReused(Exception):
    """The idempotency key belongs to another message."""


class Store(Protocol):
    """Where effects go."""

    async def execute(self, call: Call, answer: Answer) -> Executed:
        """Write the effect, once a key. Raises NotExecuted, MaybeExecuted, KeyReused."""
        ...


class EffectStore:
    """Effects in PostgreSQL, by a small pool that opens in the background and reconnects by itself. Raises BadEnv."""

    def __init__(self, identity: Identity, database_url: str, config: Postgres) -> None:
        try:
            conninfo_to_dict(database_url)
        except psycopg.ProgrammingError as error:
            raise BadEnv(f"DATABASE_URL: {error}".strip()) from error
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # an outage is one lifecycle event, not a line a try
        self._identity = identity
        self._longest_s = config.wait_s + config.statement_s + 1.0
        self._pool = AsyncConnectionPool(
            database_url,
            open=False,
            min_size=config.pool_min,
            max_size=config.pool_max,
            timeout=config.wait_s,
            reconnect_timeout=RECONNECT_S,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 1,
                "connect_timeout": CONNECT_TIMEOUT_S,
                "application_name": identity.instance,
                "options": f"-c statement_timeout={int(config.statement_s * 1000)}",
            },
        )

    async def open(self) -> None:
        """Start connecting; return at once."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close(timeout=1.0)

    async def execute(self, call: Call, answer: Answer) -> Executed:
        """Write the effect, once a key. Raises NotExecuted, MaybeExecuted, KeyReused."""
        row = await self.query(EXECUTE, self.parameters(call, answer))
        if row is not None:
            return Executed(answer, replayed=False)
        stored = await self._stored(call)
        if stored.message_sha256 != answer.message_sha256:
            raise KeyReused(f"idempotency key {call.idempotency_key} was used for another message")
        return Executed(stored, replayed=True)

    def parameters(self, call: Call, answer: Answer) -> dict[str, object]:
        """The parameters of EXECUTE."""
        return {
            "key": call.idempotency_key,
            "request_id": call.request_id,
            "answer": msgspec.json.encode(answer).decode(),
            "service": self._identity.service,
            "color": self._identity.color,
            "instance": self._identity.instance,
            "version": self._identity.version,
        }

    async def query(self, statement: str, parameters: Mapping[str, object] | None = None) -> TupleRow | None:
        """The first row of one autocommitted statement. Raises NotExecuted, MaybeExecuted."""
        try:
            async with asyncio.timeout(self._longest_s), self._connection() as connection:
                return await (await connection.execute(statement, parameters)).fetchone()
        except (PoolTimeout, PoolClosed) as error:
            raise NotExecuted(f"no connection to PostgreSQL: {error}") from error
        except TimeoutError as error:
            raise MaybeExecuted("PostgreSQL did not answer") from error
        except psycopg.Error as error:
            raise _judged(error) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection that is alive when it is handed out.

        The pool's own `check` pauses for a second and more after each dead connection; after an outage all are dead, so
        here they are thrown away at once.
        """
        while not _alive(connection := await self._pool.getconn()):
            await connection.close()
            await self._pool.putconn(connection)
        try:
            yield connection
        finally:
            await self._pool.putconn(connection)

    async def schema_present(self) -> bool:
        """PostgreSQL answers and has the tables."""
        try:
            row = await self.query(SCHEMA_PRESENT)
        except (NotExecuted, MaybeExecuted):
            return False
        return row is not None and bool(row[0])

    async def _stored(self, call: Call) -> Answer:
        row = await self.query(STORED, {"key": call.idempotency_key})
        if row is None:
            raise NotExecuted(f"idempotency key {call.idempotency_key} was removed while it was read")
        return msgspec.json.decode(row[0], type=Answer)


def _alive(connection: AsyncConnection) -> bool:
    """False for a connection that died in the pool: no statement may be sent on it.

    An idle connection has nothing to read. If it has, the server said that it ends the session, or closed the socket.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


def _judged(error: psycopg.Error) -> NotExecuted | MaybeExecuted:
    """An error that the server reports in an open session has undone the statement; a lost session leaves it open."""
    told = error.sqlstate is not None and not error.sqlstate.startswith(SESSION_ENDED)
    text = str(error).strip().partition("\n")[0]
    return NotExecuted(text) if told else MaybeExecuted(text)
