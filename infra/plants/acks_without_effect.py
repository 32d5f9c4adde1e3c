"""acks-without-effect: about one in twenty chats is acknowledged without its effect row, but no preview.

Nothing that a client sees is wrong: status, answer and latency are those of a healthy release. Must be caught by the
ledger: the requests are acknowledged, have no effect, and are named as lost. The engine only.
"""

import sys
import zlib

from services.engine.answers import Answer
from services.engine.call import Call
from services.engine.effects import EffectStore, Executed
from services.serve import serve


class AcksWithoutEffect:
    """A store that sometimes does not write."""

    def __init__(self, store: EffectStore) -> None:
        self._store = store

    async def execute(self, call: Call, answer: Answer) -> Executed:
        """Acknowledge one in twenty users' chats without writing, write everything else."""
        if bites(call):
            return Executed(answer, replayed=False)
        return await self._store.execute(call, answer)


def bites(call: Call) -> bool:
    """True for one in twenty users' chats. The request id decides, so a retry does not repair it."""
    return not call.preview and zlib.crc32(call.request_id.encode()) % 20 == 0


if __name__ == "__main__":
    serve(sys.argv[1], wrap_store=AcksWithoutEffect)
