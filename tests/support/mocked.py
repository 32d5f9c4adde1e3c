"""Pulumi without an engine: what a program registered, as it registered it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pulumi
from pulumi.runtime import mocks, settings, stack


class Registered(NamedTuple):
    """One resource: its type token, its name, its inputs."""

    token: str
    name: str
    inputs: dict[str, Any]


class _Recorder(mocks.Mocks):
    def __init__(self) -> None:
        self.registered: list[Registered] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.registered.append(Registered(args.typ, args.name, args.inputs))
        return f"{args.name}-id", args.inputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return {}, None


def run(
    program: Callable[[], None], config: dict[str, str] | None = None, name: str = "sparkle-dev"
) -> list[Registered]:
    """Run a program as the engine would, and return what it registered. Errors of the program are raised."""
    recorder, loops = _Recorder(), [asyncio.new_event_loop()]

    def worker() -> None:  # the mocks want a loop in each thread, and never close one
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    asyncio.set_event_loop(loops[0])
    loops[0].set_default_executor(ThreadPoolExecutor(4, initializer=worker))
    try:
        mocks.set_mocks(recorder, project="holdfast", stack=name, preview=False)
        given = {f"holdfast:{key}": value for key, value in (config or {}).items()}
        pulumi.runtime.set_all_config(given, list(given))
        loops[0].run_until_complete(stack.run_pulumi_func(program))
    finally:
        loops[0].run_until_complete(loops[0].shutdown_default_executor())
        for loop in loops:
            loop.close()
        asyncio.set_event_loop(None)
        settings.reset_options()
    return recorder.registered
