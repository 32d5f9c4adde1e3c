"""What both restore protocols do: check the backup, load a store, prove that what was loaded is what was there."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.errors import GateFailed, Refused
from holdfast.infra.recovery.context import RestoreContext
from holdfast.infra.recovery.dumps import load, maintenance, server_major
from holdfast.infra.recovery.keys import Index, key_differences, load_index, read_index
from holdfast.infra.recovery.manifest import Backup, PostgresBackup, RedisBackup, check_files
from holdfast.infra.recovery.rows import database_differences, read_facts
from holdfast.infra.recovery.snapshots import redis_at
from holdfast.infra.stack import Stack

SHOWN = 5
"""So many differences are told in words."""


def check_backup(context: RestoreContext) -> None:
    """Read every file of the backup, and see that it is one of this stack."""
    check_files(context.backup)
    check_fits(context.backup, context.stack)


def check_fits(backup: Backup, stack: Stack) -> None:
    """Raise Refused for a backup of another stack, of other stores, or of a newer PostgreSQL than the stack's."""
    manifest = backup.manifest
    if manifest.stack != stack.name:
        raise Refused(
            f"backup {backup.id} is of the stack {manifest.stack}",
            because=f"this is {stack.name}; one stack's data do not go into another",
            way_out=f"name a backup of {stack.name} (`holdfast backup --list`), or the stack with --stack",
        )
    there = {name: _kind(part) for name, part in manifest.stores.items()}
    wanted = {name: store.kind for name, store in stack.stores.items()}
    if there != wanted:
        raise Refused(
            f"backup {backup.id} does not hold the stores of {stack.name}",
            because=f"it holds {_words(there)}; the stack has {_words(wanted)}",
            way_out="restore it with the stack's YAML as it was then, named by --stack",
        )
    for name, part in manifest.stores.items():
        if isinstance(part, PostgresBackup) and part.facts.major > stack.stores[name].version:
            raise Refused(
                f"backup {backup.id} is of PostgreSQL {part.facts.version}",
                because=f"{name} is PostgreSQL {stack.stores[name].version} in this stack, and an older server does "
                "not read a newer one's dump",
                way_out=f"set the version of {name} in the stack's YAML to {part.facts.major} or later",
            )


def load_database(context: RestoreContext, name: str, dsn: str) -> None:
    """Make the database of the DSN from the backup's dump."""
    part = context.backup.manifest.stores[name]
    if isinstance(part, PostgresBackup):
        with maintenance(dsn) as connection:
            major = server_major(connection)
        made = load(context.backup.path / part.dump, dsn, part.facts, major=major)
        if made:
            text = f"{name}: made the roles {', '.join(made)} without login; give them one and a password"
            context.timeline.point("note", text=text)


def prove_database(context: RestoreContext, name: str, dsn: str) -> None:
    """Raise GateFailed where the database is not what the backup says, row by row."""
    part = context.backup.manifest.stores[name]
    if isinstance(part, PostgresBackup):
        said = database_differences(part.facts, read_facts(dsn))
        prove(context, name, said, f"{part.facts.rows} rows in {len(part.facts.tables)} tables are equal")


def prove_keys(context: RestoreContext, name: str, url: str, numbers: dict[int, int]) -> None:
    """Raise GateFailed where a Redis is not what the backup says, key by key."""
    part = context.backup.manifest.stores[name]
    if isinstance(part, RedisBackup):
        with redis_at(url) as server:
            found = read_index(server, numbers)
        said = key_differences(backed_up_keys(context.backup, name), found)
        prove(context, name, said, f"{len(found)} keys are equal")


def backed_up_keys(backup: Backup, name: str) -> Index:
    """The index of a Redis store in a backup."""
    part = backup.manifest.stores[name]
    return load_index(backup.path / part.index) if isinstance(part, RedisBackup) else {}


def prove(context: RestoreContext, name: str, said: list[str], equal: str) -> None:
    """Put the verdict on the timeline, and raise GateFailed when there is a difference."""
    outcome, because = ("fail", "; ".join(said[:SHOWN])) if said else ("pass", equal)
    context.timeline.point("verdict", gate=f"equal-{name}", outcome=outcome, because=because)
    if said:
        raise GateFailed(
            f"{name} was not restored as it was",
            because=because,
            way_out="name another backup (`holdfast backup --list`); what was begun is being undone",
        )


def _kind(part: PostgresBackup | RedisBackup) -> str:
    return "postgres" if isinstance(part, PostgresBackup) else "redis"


def _words(stores: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in stores.items()) or "none"
