"""The schema window on an Alembic folder: is the database in a range, and the additions that bring it there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from holdfast.errors import EnvironmentFailed, Refused

CHILD_TIMEOUT = 300.0


class AlembicSchema:
    """The revisions of one Alembic folder against one database."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder = folder
        self._dsn = dsn
        self._chain: list[str] | None = None

    def current(self) -> str | None:
        """The database's revision; None before the first. Raises EnvironmentFailed when it does not answer."""
        import psycopg

        try:
            with psycopg.connect(self._dsn, connect_timeout=5) as connection:
                if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
                    return None
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                return str(row[0]) if row else None
        except psycopg.Error as error:
            raise EnvironmentFailed(
                "the database did not tell its schema revision",
                because=str(error).strip().splitlines()[0],
                way_out="see `holdfast logs postgres`",
            ) from error

    def check(self, oldest: str, newest: str) -> None:
        """Raise Refused when the database is newer than the release tolerates, or the range is not in the folder."""
        chain = self.chain()
        for revision in (oldest, newest):
            if revision not in chain:
                raise Refused(
                    f"the release needs schema revision {revision}, which is not in {self.folder.name}/",
                    because=f"the folder has {', '.join(chain) or 'no revision'}",
                    way_out="add that migration, or correct `schema:` in the release's release.yaml",
                )
        current = self.current()
        if current is None:
            return
        if current not in chain:
            raise Refused(
                f"the database is at revision {current}, which is not in {self.folder.name}/",
                because="it was migrated from another folder, or the migration was removed",
                way_out=f"bring the migration {current} back",
            )
        if chain.index(current) > chain.index(newest):
            raise Refused(
                f"the database is at revision {current}, newer than the release tolerates ({newest})",
                because="an older release must not run on a schema that it does not know",
                way_out=f"release a version whose `schema: newest` is {current} or later",
            )

    def expand(self, newest: str) -> None:
        """Upgrade to the revision `newest` unless the database is there already."""
        chain, current = self.chain(), self.current()
        if current is None or chain.index(current) < chain.index(newest):
            self._run("upgrade", newest)

    def drop_expansion(self, back_to: str | None) -> None:
        """Downgrade to an earlier revision; `None` is before the first migration."""
        if self.current() != back_to:
            self._run("downgrade", back_to or "base")

    def chain(self) -> list[str]:
        """All revisions, oldest first. Raises Refused when there is not exactly one head."""
        if self._chain is None:
            found = json.loads(self._run("chain"))
            if len(found["heads"]) != 1:
                raise Refused(
                    f"{self.folder.name}/ has {len(found['heads'])} heads",
                    because=f"{', '.join(found['heads']) or 'there is no migration'}",
                    way_out="make it one chain: set the down_revision of one head to the other",
                )
            self._chain = [str(revision) for revision in found["chain"]]
        return self._chain

    def _run(self, verb: str, *rest: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "holdfast.migrations.alembic_child", str(self.folder), verb, *rest],
            env={**os.environ, "DATABASE_URL": self._dsn, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=CHILD_TIMEOUT,
        )
        if done.returncode:
            lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
            raise EnvironmentFailed(
                f"alembic {verb} {' '.join(rest)} failed",
                because=lines[-1] if lines else f"exit {done.returncode}",
                way_out=f"correct the migration in {self.folder.name}/versions, then deploy again",
            )
        return done.stdout
