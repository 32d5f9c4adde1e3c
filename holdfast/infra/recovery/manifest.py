"""A backup on disk: a private folder with a file a store and manifest.json, complete or not there.

While it is made it lies in `.ID.part`, locked by its maker; the rename to `ID` is the moment at which it exists.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

import msgspec

from holdfast.durable import replace_file
from holdfast.errors import Refused

SCHEMA: Final = "holdfast.backup/1"
MANIFEST = "manifest.json"
ID_FORM = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
CHUNK = 1 << 20


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the backup, by its name in the folder; `size` in bytes."""

    name: str
    size: int
    sha256: str


class TableFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A table: its number of rows, and a hash of them that does not depend on their order."""

    rows: int
    hash: str


class PostgresFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a database held in one snapshot.

    `at`: the server's clock then (Unix seconds). `tables` by `schema.table`; `sequences`: the last value given out.
    `roles`: the roles that own something or were granted something, but for the one that holdfast connects as.
    `settings`: those of the database itself, as `name=value`.
    """

    version: str
    at: float
    revision: str | None
    tables: dict[str, TableFacts]
    sequences: dict[str, int]
    extensions: dict[str, str]
    roles: list[str]
    settings: list[str] = []

    @property
    def major(self) -> int:
        """PostgreSQL's major version."""
        return int(self.version.partition(".")[0])

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables.values())


class RedisFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What Redis held in one snapshot. `at`: Unix seconds, on this machine's clock, when the snapshot was asked for.

    `hash` is over the `keys` keys that never expire, and does not depend on their order; `expiring` keys have an end.
    Each key of both kinds stands in the index file, as the hash of its name, that of its value, and its end.
    """

    version: str
    at: float
    keys: int
    expiring: int
    hash: str
    databases: list[int]

    @property
    def major(self) -> int:
        """Redis's major version."""
        return int(self.version.partition(".")[0])


class PostgresBackup(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="postgres"):
    """A PostgreSQL store: its dump, and what is in it."""

    dump: str
    facts: PostgresFacts


class RedisBackup(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="redis"):
    """A Redis store: its snapshot, the index of its keys, and what is in it."""

    snapshot: str
    index: str
    facts: RedisFacts


StoreBackup = PostgresBackup | RedisBackup


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """manifest.json. `began` and `ended` are Unix seconds; `target` is where the stack ran."""

    schema: str = SCHEMA
    id: str
    stack: str
    target: str
    began: float
    ended: float
    holdfast: str
    stores: dict[str, StoreBackup]
    files: list[FileEntry]

    @property
    def at(self) -> float:
        """The instant that a restore goes back to: the earliest of the stores' snapshots."""
        return min((store.facts.at for store in self.stores.values()), default=self.began)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that is complete, and where it lies."""

    path: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        """Its name; it sorts by time."""
        return self.manifest.id


def list_backups(folder: Path) -> list[Backup]:
    """The complete backups in a folder, oldest first. One whose manifest cannot be read is left out."""
    found = []
    for path in sorted(folder.glob("*")) if folder.is_dir() else []:
        if ID_FORM.fullmatch(path.name) and (path / MANIFEST).is_file():
            try:
                found.append(read_backup(path))
            except Refused:
                continue
    return found


def find_backup(name: str, folder: Path) -> Backup:
    """A backup by its id in `folder`, by `last`, or by the path of its folder. Raises Refused when there is none."""
    known = list_backups(folder)
    if name == "last" and known:
        return known[-1]
    for path in (folder / name, Path(name)):
        if name != "last" and (path / MANIFEST).is_file():
            return read_backup(path)
    raise Refused(
        f"there is no backup {name}",
        because=f"in {folder}: {', '.join(backup.id for backup in known[-5:]) or 'none'}; one that was cut off is none",
        way_out="name one of those, or the path of a backup's folder; `holdfast backup` makes one",
    )


def read_backup(path: Path) -> Backup:
    """Read a manifest. Raises Refused for one that is corrupt or that a newer holdfast wrote; no file is checked."""
    try:
        raw = (path / MANIFEST).read_bytes()
        schema = msgspec.json.decode(raw, type=dict[str, object]).get("schema")
    except (OSError, msgspec.DecodeError) as error:
        raise damaged(path, f"its manifest cannot be read ({error})") from error
    if schema != SCHEMA:
        raise Refused(
            f"backup {path.name} is of the form {schema}",
            because=f"this holdfast reads {SCHEMA}; a newer holdfast, or another program, wrote it",
            way_out="restore it with the holdfast that wrote it, or a later one",
        )
    try:
        return Backup(path=path, manifest=msgspec.json.decode(raw, type=Manifest))
    except msgspec.DecodeError as error:
        raise damaged(path, f"its manifest is not whole ({error})") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, and wait for the disk."""
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    replace_file(folder / MANIFEST, data, mode=0o600)


def check_files(backup: Backup) -> None:
    """Read every file again. Raises Refused that names the first one that is missing, cut off or changed."""
    for entry in backup.manifest.files:
        path = backup.path / entry.name
        if path.name != entry.name:
            raise damaged(backup.path, f"{entry.name} lies outside of it")
        if not path.is_file():
            raise damaged(backup.path, f"{entry.name} is missing")
        if path.stat().st_size != entry.size:
            raise damaged(backup.path, f"{entry.name} has {path.stat().st_size} bytes, and had {entry.size}")
        if file_entry(path).sha256 != entry.sha256:
            raise damaged(backup.path, f"the content of {entry.name} is not what was written")
    named = {entry.name for entry in backup.manifest.files}
    for store, part in backup.manifest.stores.items():
        wanted = {part.dump} if isinstance(part, PostgresBackup) else {part.snapshot, part.index}
        if wanted - named:
            raise damaged(backup.path, f"no file of {store} is in its list")


def file_entry(path: Path) -> FileEntry:
    """Describe a file by what is on the disk now."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return FileEntry(name=path.name, size=path.stat().st_size, sha256=digest.hexdigest())


def damaged(path: Path, because: str) -> Refused:
    """The refusal of a backup that is not what was written."""
    return Refused(
        f"backup {path.name} is damaged",
        because=because,
        way_out="name another one (`holdfast backup --list`), or bring back that folder from a copy",
    )
