"""Wait for a process without keeping the event loop from its other work."""

from __future__ import annotations

import asyncio
import os

from holdfast.children import Identity


async def ended(identity: Identity, seconds: float) -> bool:
    """Wait until a process has ended; False when it still runs after `seconds`."""
    try:
        fd = os.pidfd_open(identity.pid)
    except OSError:
        return True
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, over.set)
    try:
        if identity.alive():
            await asyncio.wait_for(over.wait(), seconds)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return True
