"""The schema: one head, a way back, and no constraint that would hide an effect written twice."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from support import services


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return {row[0] for row in rows}


def test_there_is_one_head_and_the_release_names_it() -> None:
    config = Config()
    config.set_main_option("script_location", str(services.ROOT / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert len(scripts.get_heads()) == 1
    release = services.read_release()
    known = [script.revision for script in scripts.walk_revisions()]
    assert release["schema"]["oldest"] in known
    assert release["schema"]["newest"] in known


def test_every_migration_goes_forth_back_and_forth_again(postgres: services.Postgres) -> None:
    dsn = postgres.new_database("there_and_back")
    assert tables(dsn) == {"effects", "idempotency_keys", "alembic_version"}
    services.migrate(dsn, "base", "downgrade")
    assert tables(dsn) == {"alembic_version"}
    services.migrate(dsn, "head")
    assert tables(dsn) == {"effects", "idempotency_keys", "alembic_version"}


def test_an_effect_written_twice_is_visible(dsn: str) -> None:
    row = "INSERT INTO effects (request_id, idempotency_key, service, color, instance, version)"
    with psycopg.connect(dsn) as connection:
        for _ in range(2):
            connection.execute(row + " VALUES ('twice', 'twice', 'engine', 'blue', 'engine-blue-1', 'v1')")
        assert connection.execute("SELECT count(*) FROM effects WHERE request_id = 'twice'").fetchone() == (2,)
        connection.rollback()


def test_effects_are_found_by_a_run_s_prefix_with_the_index(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("SET LOCAL enable_seqscan = off")
        plan = connection.execute("EXPLAIN SELECT id FROM effects WHERE request_id LIKE 'run-1-%'").fetchall()
    assert any("effects_request_id" in row[0] for row in plan)


def test_migrations_run_from_any_folder_by_environment(postgres: services.Postgres, tmp_path: Path) -> None:
    dsn = postgres.new_database("by_environment", migrated=False)
    script = "from alembic import command, config as c; config = c.Config(); "
    script += f"config.set_main_option('script_location', {str(services.ROOT / 'migrations')!r}); "
    argv = [sys.executable, "-P", "-c", script + "command.upgrade(config, 'head')"]
    environ = os.environ | {"DATABASE_URL": dsn}
    subprocess.run(argv, check=True, capture_output=True, cwd=tmp_path, env=environ, timeout=20)
    assert "effects" in tables(dsn)


def test_migrations_without_a_database_say_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(SystemExit, match=r"neither -x dsn=… nor DATABASE_URL is set; give one of them"):
        services.migrate(None, "head")
