"""How a store follows another one, catches up and is promoted: one class a kind of store, all alike."""

from __future__ import annotations

from typing import Any, Protocol

from holdfast.infra.recovery.snapshots import redis_at


class Replication(Protocol):
    """What a failover needs of a store; stores are named by their URL."""

    def follows(self, url: str) -> bool:
        """Whether it streams from its primary now."""
        ...

    def leads(self, url: str) -> bool:
        """Whether it takes writes."""
        ...

    def promote(self, url: str) -> None:
        """Let it lead; one that leads stays so."""
        ...

    def caught_up(self, primary: str, secondary: str) -> bool:
        """Whether all that the primary has written is applied at the secondary. Nobody may write meanwhile."""
        ...

    def stall(self, url: str) -> None:
        """Let it follow nobody any more, without leading: what a planted failure does."""
        ...


class PostgresReplication:
    """PostgreSQL's streaming replication."""

    def follows(self, url: str) -> bool:
        """Whether its WAL receiver streams."""
        return bool(_ask(url, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"))

    def leads(self, url: str) -> bool:
        """Whether it is out of recovery."""
        return bool(_ask(url, "SELECT NOT pg_is_in_recovery()"))

    def promote(self, url: str) -> None:
        """Apply what was received, then lead."""
        if not self.leads(url):
            _ask(url, "SELECT pg_promote(true, 60)")

    def caught_up(self, primary: str, secondary: str) -> bool:
        """Compare the end of the primary's WAL with what the secondary has applied."""
        end = _ask(primary, "SELECT pg_current_wal_flush_lsn()")
        return bool(_ask(secondary, f"SELECT pg_last_wal_replay_lsn() >= '{end}'::pg_lsn"))

    def stall(self, url: str) -> None:
        """Take its primary away."""
        _ask(url, "ALTER SYSTEM SET primary_conninfo = ''")
        _ask(url, "SELECT pg_reload_conf()")


class RedisReplication:
    """Redis's replication."""

    def follows(self, url: str) -> bool:
        """Whether it is a replica whose link is up."""
        found = self._info(url)
        return bool(found["role"] == "slave" and found["master_link_status"] == "up")

    def leads(self, url: str) -> bool:
        """Whether it is a master."""
        return bool(self._info(url)["role"] == "master")

    def promote(self, url: str) -> None:
        """REPLICAOF NO ONE."""
        with redis_at(url) as server:
            server[0].replicaof("NO", "ONE")

    def caught_up(self, primary: str, secondary: str) -> bool:
        """Compare the offsets; the primary's pings move its own, so the two are read until they meet."""
        return bool(self._info(primary)["master_repl_offset"] <= self._info(secondary)["slave_repl_offset"])

    def stall(self, url: str) -> None:
        """Let it follow an address where nobody is."""
        with redis_at(url) as server:
            server[0].replicaof("127.0.0.1", "1")

    def _info(self, url: str) -> dict[str, Any]:
        with redis_at(url) as server:
            return dict(server[0].info("replication"))


KINDS: dict[str, Replication] = {"postgres": PostgresReplication(), "redis": RedisReplication()}


def _ask(dsn: str, query: str) -> Any:
    """The first value of a query's answer; None where it gives no rows."""
    import psycopg

    with psycopg.connect(dsn, autocommit=True, connect_timeout=3) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None
