"""Pulumi without an engine: what a program registered, as it registered it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
    recorder = _Recorder()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        mocks.set_mocks(recorder, project="holdfast", stack=name, preview=False)
        settings_config = {f"holdfast:{key}": value for key, value in (config or {}).items()}
        pulumi.runtime.set_all_config(settings_config, list(settings_config))
        loop.run_until_complete(stack.run_pulumi_func(program))
    finally:
        loop.close()
        asyncio.set_event_loop(None)
        settings.reset_options()
    return recorder.registered
