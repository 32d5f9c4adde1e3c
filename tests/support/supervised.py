"""A supervisor's death, and a unit that does not hear the request to end."""

from __future__ import annotations

import signal
from pathlib import Path

from support.stack import supervisor_pids

from holdfast.children import identify

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('deaf', flush=True)
time.sleep(600)
"""


def kill_supervisor(home: Path) -> None:
    """SIGKILL, and wait until it is gone."""
    for pid in supervisor_pids(home):
        victim = identify(pid)
        assert victim is not None
        victim.send(signal.SIGKILL)
        assert victim.wait(5)
