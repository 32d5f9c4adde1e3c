"""Whether PostgreSQL answers and has the schema: asked once a second, remembered between."""

import asyncio
from collections.abc import Mapping

from services.common.env import Identity
from services.common.log import lifecycle_event
from services.engine.effects import EffectStore

INTERVAL_S = 1.0
FIRST_INTERVAL_S = 0.05  # until the first success, so that a start is not a second slower than it need be
FAILURES_TO_UNREADY = 3  # one slow answer under load takes no instance out


class Readiness:
    """The last known state of the database."""

    def __init__(self, identity: Identity, store: EffectStore) -> None:
        self._identity = identity
        self._store = store
        self._ready = False
        self._failures = 0

    def checks(self) -> Mapping[str, bool]:
        """What /readyz tells."""
        return {"postgres": self._ready}

    async def watch(self) -> None:
        """Ask for ever."""
        while True:
            self._note(await self._store.schema_present())
            await asyncio.sleep(INTERVAL_S if self._ready else FIRST_INTERVAL_S)

    def _note(self, present: bool) -> None:
        self._failures = 0 if present else self._failures + 1
        ready = present or (self._ready and self._failures < FAILURES_TO_UNREADY)
        if ready != self._ready:
            self._ready = ready
            lifecycle_event(self._identity, "postgres-usable" if ready else "postgres-lost")
