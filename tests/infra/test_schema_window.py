"""The schema window of a release on an Alembic folder of three revisions and a real database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support import services
from support.stack import ROOT, refusal

from holdfast.errors import EnvironmentFailed
from holdfast.migrations.schema import AlembicSchema

REVISION = '''"""{name}"""
from alembic import op
revision, down_revision, branch_labels, depends_on = "{name}", {down}, None, None
def upgrade():
    op.execute("CREATE TABLE t{name} (id int)")
def downgrade():
    op.execute("DROP TABLE t{name}")
'''


def write_revision(folder: Path, name: str, down: str | None) -> None:
    (folder / "versions" / f"{name}.py").write_text(REVISION.format(name=name, down=repr(down)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """0001 ← 0002 ← 0003."""
    found = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", found, ignore=shutil.ignore_patterns("versions", "__pycache__"))
    (found / "versions").mkdir()
    for name, down in (("0001", None), ("0002", "0001"), ("0003", "0002")):
        write_revision(found, name, down)
    return found


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Postgres]:
    with services.postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def window(postgres: services.Postgres, folder: Path, request: pytest.FixtureRequest) -> AlembicSchema:
    return AlembicSchema(folder, postgres.new_database(request.node.name[:60], migrated=False))


def tables(window: AlembicSchema) -> list[str]:
    with psycopg.connect(window._dsn) as connection:
        sql = "SELECT tablename FROM pg_tables WHERE tablename ~ '^t0' ORDER BY 1"
        return [row[0] for row in connection.execute(sql)]


def test_a_database_before_the_first_revision_is_expanded_and_taken_back(window: AlembicSchema) -> None:
    assert window.current() is None
    window.check("0001", "0002")
    window.expand("0002")
    assert (window.current(), tables(window)) == ("0002", ["t0001", "t0002"])
    window.expand("0002")  # again: nothing to do
    window.drop_expansion(None)
    assert (window.current(), tables(window)) == (None, [])


def test_only_what_the_release_added_is_taken_back(window: AlembicSchema) -> None:
    window.expand("0001")
    before = window.current()
    window.expand("0003")
    assert window.current() == "0003"
    window.drop_expansion(before)
    window.drop_expansion(before)
    assert (window.current(), tables(window)) == ("0001", ["t0001"])


def test_a_release_that_tolerates_the_newer_schema_does_not_move_it(window: AlembicSchema) -> None:
    window.expand("0002")
    window.check("0001", "0003")
    window.check("0001", "0002")


def test_a_schema_newer_than_the_release_tolerates_is_refused(window: AlembicSchema) -> None:
    window.expand("0003")
    refused = refusal(lambda: window.check("0001", "0002"))
    assert "revision 0003, newer than the release tolerates (0002)" in refused.what


def test_a_range_that_the_folder_does_not_have_is_refused(window: AlembicSchema) -> None:
    refused = refusal(lambda: window.check("0001", "0009"))
    assert "needs schema revision 0009" in refused.what
    assert refused.because == "the folder has 0001, 0002, 0003"


def test_a_database_from_another_folder_is_refused(window: AlembicSchema, folder: Path) -> None:
    window.expand("0003")
    (folder / "versions" / "0003.py").unlink()
    refused = refusal(lambda: AlembicSchema(folder, window._dsn).check("0001", "0002"))
    assert "the database is at revision 0003, which is not in" in refused.what


def test_two_heads_are_refused_by_name(window: AlembicSchema, folder: Path) -> None:
    write_revision(folder, "0003b", "0002")
    refused = refusal(lambda: window.check("0001", "0002"))
    assert "has 2 heads" in refused.what
    assert {"0003", "0003b"} <= set(refused.because.replace(",", "").split())


def test_a_migration_that_fails_names_itself_and_changes_nothing(window: AlembicSchema, folder: Path) -> None:
    window.expand("0002")
    broken = (folder / "versions" / "0003.py").read_text().replace("CREATE TABLE t0003", "CREATE NONSENSE")
    (folder / "versions" / "0003.py").write_text(broken)
    with pytest.raises(EnvironmentFailed, match="alembic upgrade 0003 failed"):
        window.expand("0003")
    assert (window.current(), tables(window)) == ("0002", ["t0001", "t0002"])


def test_a_database_that_does_not_answer_is_one_clear_error(folder: Path) -> None:
    window = AlembicSchema(folder, f"postgresql://x@127.0.0.1:{services.free_port()}/x")
    with pytest.raises(EnvironmentFailed, match="the database did not tell its schema revision") as caught:
        window.check("0001", "0002")
    assert "holdfast logs postgres" in caught.value.way_out
