"""The main function of a service: refuse clearly, run on uvloop, exit 0 after a drain."""

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine

import uvloop

from services.common.config import BadConfig
from services.common.env import BadEnv, Identity, refuse_to_start
from services.common.http import PortTaken
from services.common.log import lifecycle_event


def run(service: str, serve: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run `serve` to its end. A missing variable or a bad config exits 2, a taken port 1."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())
    except (BadEnv, BadConfig) as error:
        refuse_to_start(service, str(error))
    except PortTaken as error:
        refuse_to_start(service, str(error), exit_code=1)


def started(identity: Identity, **ports: int) -> None:
    """Say that the process serves, and what starting cost it in CPU seconds."""
    settle_memory()
    lifecycle_event(identity, "started", **ports, start_cpu_s=round(time.process_time(), 3))


def settle_memory() -> None:
    """Take everything loaded so far out of the garbage collector's sight: full collections cost 20 ms otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
