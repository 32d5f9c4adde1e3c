"""The failover drill: two regions, writes to the primary, its end, the secondary's promotion, and the way back.

It records; `holdfast.pipelines.failover_gates` judges. The regions are the drill's own, on this machine or namespaces
on a cluster: what a drill that was killed left is ended by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import TypeVar

from holdfast.children import poll
from holdfast.errors import EnvironmentFailed
from holdfast.infra.recovery.regions import Region, wait_following, wait_leading
from holdfast.infra.recovery.replicas import KINDS
from holdfast.infra.recovery.rows import database_differences, read_facts
from holdfast.infra.recovery.stores import answers_of_stores, stores_of
from holdfast.infra.recovery.writes import PostgresSink, RedisSink, Sink, Writer
from holdfast.infra.stack import Stack
from holdfast.timeline import Timeline

T = TypeVar("T")
STALLED, LOST_ROW = "stalled-replica", "lost-row"
PLANTS = (STALLED, LOST_ROW)
SECOND_SERIES = 1_000_000
"""The numbers of the writes after the failover begin here."""
NOTICE_TIMES = 3
NOTICE_EVERY_S = 0.2
CAUGHT_UP_S = 30.0
ANSWER_S = 60.0


@dataclass(frozen=True)
class FailoverOptions:
    """What a person can choose. `before_s`: seconds of writes before the cut."""

    plant: str = ""
    rate: float = 100.0
    before_s: float = 3.0


@dataclass
class FailoverDrill:
    """The acts of a failover drill, in their order."""

    stack: Stack
    primary: Region
    secondary: Region
    timeline: Timeline
    options: FailoverOptions

    def carry_out(self) -> None:
        """Two regions, writes, the cut, the promotion, the comparison, back to normal; then nothing is left."""
        try:
            with answers_of_stores():
                self._drill()
        finally:
            self._phase("down", self._remove)

    def _drill(self) -> None:
        self._phase("two regions", self._make)
        writers = self._phase("writes to the primary", self._write)
        try:
            self._phase("cut the primary region", partial(self._cut, writers))
            self._phase("promote the secondary region", self._promote)
        finally:
            _end(writers)
        self._phase("compare", partial(self._compare, writers))
        writers = self._phase("the old primary follows the new one", self._follow_back)
        self._phase("the primary leads again", self._lead_again)
        self._phase("the secondary follows again", partial(self._normal_again, writers))

    # -- acts ------------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        self.primary.make()
        self.secondary.make(self.primary)
        wait_leading(self.primary)
        wait_following(self.secondary)
        self.timeline.point("failover.follows", stores=list(self.stack.stores))

    def _write(self) -> dict[str, Writer]:
        writers = self._writers(self.primary)
        for writer in writers.values():
            writer.sink.make()
            writer.start()
        time.sleep(self.options.before_s)
        if self.options.plant == STALLED:
            for name, store in self.stack.stores.items():
                KINDS[store.kind].stall(self.secondary.store_url(name))
            self._planted("the secondary followed nobody any more while writes went on")
            time.sleep(self.options.before_s)
        return writers

    def _cut(self, writers: dict[str, Writer]) -> None:
        """Kill the primary region, and notice it as a watcher would: looks that fail several times in a row."""
        self.timeline.point("failover.cut", wall=time.time())
        killer = Thread(target=self.primary.cut)
        killer.start()
        try:
            self._notice(writers)
        finally:
            killer.join()

    def _notice(self, writers: dict[str, Writer]) -> None:
        failed = 0
        for _ in poll(time.monotonic() + ANSWER_S, every=NOTICE_EVERY_S):
            failed = 0 if self._answers(writers) else failed + 1
            if failed >= NOTICE_TIMES:
                self.timeline.point("failover.noticed", wall=time.time())
                return
        raise EnvironmentFailed(
            "the primary region still answers",
            because=f"its stores took writes for {ANSWER_S:g} s after they were killed",
            way_out=self.primary.way_out,
        )

    def _answers(self, writers: dict[str, Writer]) -> bool:
        """Whether any store of the primary region still acknowledges writes."""
        latest = [writer.acknowledged[-1].at for writer in writers.values() if writer.acknowledged]
        return max(latest, default=0.0) > time.time() - NOTICE_EVERY_S

    def _promote(self) -> None:
        """Let the secondary lead; it is back when each of its stores has taken a write."""
        for name, store in self.stack.stores.items():
            KINDS[store.kind].promote(self.secondary.store_url(name))
        for name, sink in self._sinks(self.secondary).items():
            self._first_write(name, sink)
        self.timeline.point("failover.answered", wall=time.time())

    def _first_write(self, name: str, make: Callable[[], Sink]) -> None:
        sink, said = make(), ""
        for _ in poll(time.monotonic() + ANSWER_S, every=0.05):
            try:
                sink.write(SECOND_SERIES)
            except Exception as error:  # noqa: BLE001 - it does not lead yet; whatever it says is told at the end
                said = str(error).strip().partition("\n")[0]
                continue
            sink.close()
            return
        raise EnvironmentFailed(
            f"{name} of the secondary region took no write within {ANSWER_S:g} s",
            because=said,
            way_out=self.secondary.way_out,
        )

    def _compare(self, writers: dict[str, Writer]) -> None:
        """Which acknowledged writes the secondary does not have."""
        if self.options.plant == LOST_ROW:
            for name in stores_of(self.stack, "postgres")[:1]:
                self._drop_row(self.secondary.store_dsn(name))
            self._planted("an early row is gone from the secondary")
        for name, make in self._sinks(self.secondary).items():
            self._count("failover.writes", name, writers[name], make())

    def _follow_back(self) -> dict[str, Writer]:
        """Rebuild the old primary from the new one's data, while writes go on there."""
        self.primary.clear()
        self.primary.make(self.secondary)
        writers = self._writers(self.secondary, after=SECOND_SERIES)
        for writer in writers.values():
            writer.start()
        try:
            wait_following(self.primary)
        finally:
            _end(writers)
        return writers

    def _lead_again(self) -> None:
        """Nobody writes now: when the old primary has everything it leads again, and nothing is lost."""
        for name, store in self.stack.stores.items():
            self._wait_caught_up(name, store.kind)
            KINDS[store.kind].promote(self.primary.store_url(name))

    def _normal_again(self, writers: dict[str, Writer]) -> None:
        """Rebuild the secondary as it was, and compare both regions row by row."""
        self.secondary.clear()
        self.secondary.make(self.primary)
        wait_following(self.secondary)
        for name, make in self._sinks(self.primary).items():
            self._count("failover.returned", name, writers[name], make())
        for name in stores_of(self.stack, "postgres"):
            one, other = read_facts(self.primary.store_dsn(name)), read_facts(self.secondary.store_dsn(name))
            self.timeline.point("failover.compared", store=name, said=database_differences(one, other)[:5])

    def _wait_caught_up(self, name: str, kind: str) -> None:
        for _ in poll(time.monotonic() + CAUGHT_UP_S, every=0.1):
            if KINDS[kind].caught_up(self.secondary.store_url(name), self.primary.store_url(name)):
                return
        raise EnvironmentFailed(
            f"{name} of the old primary region did not catch up",
            because=f"it was behind for {CAUGHT_UP_S:g} s without any write",
            way_out=self.primary.way_out,
        )

    def _remove(self) -> None:
        regions = (self.primary, self.secondary)
        for region in regions:
            region.delete()
        for region in regions:
            region.wait_gone()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _count(self, point: str, name: str, writer: Writer, sink: Sink) -> None:
        there = sink.numbers()
        sink.close()
        acknowledged = writer.acknowledged
        self.timeline.point(
            point,
            store=name,
            acknowledged=len(acknowledged),
            last=acknowledged[-1].at if acknowledged else None,
            survived=max((each.at for each in acknowledged if each.number in there), default=None),
            missing=[[each.number, each.at] for each in acknowledged if each.number not in there],
            failed=writer.failed,
            error=writer.first_error,
        )

    def _drop_row(self, dsn: str) -> None:
        import psycopg

        with psycopg.connect(dsn) as connection:
            connection.execute("DELETE FROM holdfast_drill.rows WHERE number = 10")

    def _writers(self, region: Region, after: int = 0) -> dict[str, Writer]:
        sinks = self._sinks(region)
        return {name: Writer(name, make(), rate=self.options.rate, after=after) for name, make in sinks.items()}

    def _sinks(self, region: Region) -> dict[str, Callable[[], Sink]]:
        sinks: dict[str, Callable[[], Sink]] = {}
        for name, store in self.stack.stores.items():
            kind: Callable[[str], Sink] = PostgresSink if store.kind == "postgres" else RedisSink
            sinks[name] = partial(kind, region.store_url(name))
        return sinks

    def _planted(self, text: str) -> None:
        self.timeline.point("note", text=f"planted: {self.options.plant}: {text}")

    def _phase(self, name: str, act: Callable[[], T]) -> T:
        with self.timeline.span("phase", phase=name):
            return act()


def _end(writers: dict[str, Writer]) -> None:
    for writer in writers.values():
        writer.stop()
        writer.sink.close()
