"""double-effect: about one in twenty chats writes two effect rows, but no preview.

Nothing that a client sees is wrong. Must be caught by the ledger: the requests have more than one effect, and are named
as duplicated. The engine only.
"""

import sys
import zlib

from services.engine.answers import Answer
from services.engine.call import Call
from services.engine.effects import EffectStore, Executed
from services.serve import serve

AGAIN = """
INSERT INTO effects (request_id, idempotency_key, service, color, instance, version)
VALUES (%(request_id)s, %(key)s, %(service)s, %(color)s, %(instance)s, %(version)s)
RETURNING id
"""


class DoubleEffect:
    """A store that sometimes writes twice."""

    def __init__(self, store: EffectStore) -> None:
        self._store = store

    async def execute(self, call: Call, answer: Answer) -> Executed:
        """Write the effect of one in twenty users' chats again, past its idempotency key."""
        executed = await self._store.execute(call, answer)
        if bites(call) and not executed.replayed:
            await self._store.query(AGAIN, self._store.parameters(call, answer))
        return executed


def bites(call: Call) -> bool:
    """True for one in twenty users' chats."""
    return not call.preview and zlib.crc32(call.request_id.encode()) % 20 == 0


if __name__ == "__main__":
    serve(sys.argv[1], wrap_store=DoubleEffect)
