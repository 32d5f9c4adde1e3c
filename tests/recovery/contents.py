"""Data of every kind that a backup must bring back."""

from __future__ import annotations

import psycopg
import redis

TABLES = """
CREATE ROLE reader NOLOGIN;
CREATE EXTENSION IF NOT EXISTS vector;
CREATE SCHEMA "Odd name";
CREATE TABLE "Odd name"."Things" (
    id bigserial PRIMARY KEY, "when" timestamptz, day date, span interval, raw bytea, body jsonb, tags text[],
    amount numeric, ratio float8, place vector(3), t text, half numeric GENERATED ALWAYS AS (amount / 2) STORED
);
GRANT SELECT ON "Odd name"."Things" TO reader;
INSERT INTO "Odd name"."Things" ("when", day, span, raw, body, tags, amount, ratio, place, t)
SELECT '2026-01-01T00:00Z'::timestamptz + n * interval '1 h', '2026-01-01', n * interval '1 min',
    decode(md5(n::text), 'hex'), jsonb_build_object('n', n), ARRAY['a', n::text], n / 3.0, sqrt(n), '[1,2,3]', NULL
FROM generate_series(1, 300) AS n;
CREATE TABLE empty ();
CREATE TABLE twice (word text);
INSERT INTO twice VALUES ('same'), ('same'), ('other');
CREATE TABLE parts (n int) PARTITION BY RANGE (n);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10) TO (20);
INSERT INTO parts SELECT generate_series(0, 19);
SELECT lo_from_bytea(0, 'a large object');
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path TO public, "Odd name"', current_database());
    EXECUTE format('ALTER DATABASE %I SET work_mem TO ''8MB''', current_database());
END $$;
"""
KINDS = 8
"""Keys that `fill` makes in Redis."""


def fill(dsn: str, url: str) -> None:
    """Fill a stack's stores."""
    with psycopg.connect(dsn) as connection:
        connection.execute(TABLES.encode())
    with redis.Redis.from_url(url) as client:
        fill_redis(client)


def fill_redis(client: redis.Redis) -> None:
    """A key of every type, one with an end, and one that is large."""
    client.set("string", b"\x00\xff binary")
    client.set("ends", "later", ex=3600)
    client.rpush("list", *range(1000))
    client.sadd("set", *(f"member {n}" for n in range(500)))
    client.hset("hash", mapping={f"field {n}": "x" * n for n in range(300)})
    client.zadd("zset", {"a": 1.5, "b": float("inf"), "c": -1e-9})
    for n in range(10):
        client.xadd("stream", {"n": n}, id=f"{n + 1}-0")
    client.xgroup_create("stream", "group", id="5-0")
    client.xreadgroup("group", "reader", {"stream": ">"}, count=2)
    client.pfadd("counted", *range(100))
