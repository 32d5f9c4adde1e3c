"""The restore drill: a backup while writes go on, a restore beside, and what is there compared with what was there.

It records; `holdfast.pipelines.recovery_gates` judges. What it compares with is what it read itself from the stores, in
the snapshot that was dumped: a backup that agrees with itself but is another one is found out.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from holdfast.children import identify
from holdfast.errors import HoldfastError, UsageError
from holdfast.infra.home import Home
from holdfast.infra.recovery.backup import Taken, take_backup
from holdfast.infra.recovery.desk import RestoreDesk
from holdfast.infra.recovery.keys import key_differences, read_index
from holdfast.infra.recovery.manifest import read_backup
from holdfast.infra.recovery.plants import OF_FILES, OF_STORES, OLDER, PLANTS
from holdfast.infra.recovery.rows import database_differences, read_facts
from holdfast.infra.recovery.snapshots import redis_at
from holdfast.infra.recovery.stores import OwnStores, Stores, answers_of_stores, stores_of
from holdfast.infra.recovery.writes import PostgresSink, RedisSink, Sink, Writer, writing
from holdfast.infra.stack import Stack
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.journal import Journal
from holdfast.timeline import Timeline

T = TypeVar("T")
SHOWN = 20
"""So many differences of a store are recorded in words."""


@dataclass(frozen=True)
class DrillOptions:
    """What a person can choose. `before_s`, `after_s`: seconds of writes before the backup and until the loss."""

    plant: str = ""
    rate: float = 100.0
    before_s: float = 1.0
    after_s: float = 2.0


@dataclass
class RestoreDrill:
    """The acts of a restore drill, in their order. `folder`: the run's; nothing but evidence is left there."""

    stack: Stack
    stores: Stores
    timeline: Timeline
    folder: Path
    options: DrillOptions
    where: str = "local"

    def carry_out(self) -> None:
        """Write, back up, lose, restore, compare. Raises UsageError for a plant that there is not."""
        if self.options.plant and self.options.plant not in PLANTS:
            raise UsageError(
                f"there is no plant {self.options.plant}",
                because=f"known: {', '.join(PLANTS)}",
                way_out="name one of those",
            )
        try:
            with answers_of_stores():
                self._drill()
        finally:
            self._phase("down", self._end)

    def _drill(self) -> None:
        with writing(self._sinks(self.stores), rate=self.options.rate) as writers:
            taken = self._phase("backup while writes go on", partial(self._back_up, writers))
            self._phase("until the loss", partial(time.sleep, self.options.after_s))
            for writer in writers.values():
                writer.stop()
            self.timeline.point("drill.loss", wall=time.time())
        if self._restore(taken):
            self._phase("compare", partial(self._compare, taken, writers))

    # -- acts ------------------------------------------------------------------------------------------------------

    def _back_up(self, writers: dict[str, Writer]) -> Taken:
        """Take the backup; what was acknowledged before it began must be in it."""
        time.sleep(self.options.before_s)
        older = self._take() if self.options.plant == OLDER else None
        if older:
            self.timeline.point("note", text=f"planted: {OLDER}: {older.backup.id} lies where the last one should")
            time.sleep(self.options.before_s)
        before = {name: writer.last for name, writer in writers.items()}
        taken = self._take()
        manifest = taken.backup.manifest
        self.timeline.point(
            "drill.backup", id=manifest.id, wall=manifest.at, seconds=manifest.ended - manifest.began, before=before
        )
        if older:
            shutil.rmtree(taken.backup.path)
            older.backup.path.rename(taken.backup.path)
        return taken

    def _take(self) -> Taken:
        def say(text: str) -> None:
            self.timeline.point("note", text=text)

        return take_backup(self.stack, self.stores, self._backups, target=self.where, say=say)

    def _restore(self, taken: Taken) -> bool:
        """Restore into a new home by the very protocol that `holdfast restore` walks; tells whether it ended well."""
        if damage := OF_FILES.get(self.options.plant):
            damage(taken.backup)
            self._planted(damage)
        desk = RestoreDesk(
            stack=self.stack,
            home=self._desk_home,
            stores=self.stores,
            timeline=self.timeline,
            release_lock=Journal(self._desk_home.journal).lock,
        )
        try:
            with self.timeline.span("phase", phase="restore"):
                desk.restore(read_backup(taken.backup.path), str(self._restored.root))
        except HoldfastError as error:
            self.timeline.point("drill.restored", ok=False, because=f"{error.what}: {error.because}")
            return False
        self.timeline.point("drill.restored", ok=True, because="the restore went through, and proved itself")
        return True

    def _compare(self, taken: Taken, writers: dict[str, Writer]) -> None:
        """Bring the restored stack up, and compare it with what was there at the instant of the backup."""
        target = LocalTarget(self.stack, self._restored, owner=identify(os.getpid()))
        target.up()
        stores = OwnStores(target.provision)
        if change := OF_STORES.get(self.options.plant):
            change(stores, self.stack)
            self._planted(change)
        for name, expected in taken.databases.items():
            said = database_differences(expected, read_facts(stores.store_dsn(name)))
            self._compared(name, f"{expected.rows} rows in {len(expected.tables)} tables", said)
        for name, index in taken.keys.items():
            with redis_at(stores.store_url(name)) as server:
                numbers = {number: number for number in server.used()}
                said = key_differences(index, read_index(server, numbers))
            self._compared(name, f"{len(index)} keys", said)
        for name, sink in self._sinks(stores).items():
            self._count(name, writers[name], sink())

    def _compared(self, store: str, what: str, said: list[str]) -> None:
        self.timeline.point("drill.compared", store=store, what=what, differences=len(said), said=said[:SHOWN])

    def _count(self, name: str, writer: Writer, sink: Sink) -> None:
        """Which acknowledged writes are not there."""
        there = sink.numbers()
        sink.close()
        missing = [each.number for each in writer.acknowledged if each.number not in there]
        self.timeline.point(
            "drill.writes",
            store=name,
            acknowledged=len(writer.acknowledged),
            failed=writer.failed,
            missing=missing,
        )

    def _planted(self, act: Callable[..., None]) -> None:
        self.timeline.point("note", text=f"planted: {self.options.plant}: {(act.__doc__ or '').strip()}")

    def _end(self) -> None:
        """End the restored stack, and remove it with the backup."""
        LocalTarget(self.stack, self._restored, owner=identify(os.getpid())).down()
        for folder in (self._restored.root, self._backups, self._desk_home.root):
            shutil.rmtree(folder, ignore_errors=True)

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _backups(self) -> Path:
        return self.folder / "backups"

    @property
    def _restored(self) -> Home:
        return Home(self.folder / "restored")

    @property
    def _desk_home(self) -> Home:
        return Home(self.folder / "desk")

    def _phase(self, name: str, act: Callable[[], T]) -> T:
        with self.timeline.span("phase", phase=name):
            return act()

    def _sinks(self, stores: Stores) -> dict[str, Callable[[], Sink]]:
        sinks: dict[str, Callable[[], Sink]] = {}
        for name in stores_of(self.stack, "postgres"):
            sinks[name] = partial(PostgresSink, stores.store_dsn(name))
        for name in stores_of(self.stack, "redis"):
            sinks[name] = partial(RedisSink, stores.store_url(name))
        return sinks
