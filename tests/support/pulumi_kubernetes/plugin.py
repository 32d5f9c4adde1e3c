"""A stand-in for Pulumi's Kubernetes plugin, for tests where the official one cannot be had. Never part of the product.

It does what tests need against a real API server: check, diff, create, read, update, delete by server-side apply.
It proves the program, the engine and the API server's answers; it does not prove the official plugin.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time

from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental.server import main
from support.pulumi_kubernetes import objects, ready
from support.pulumi_kubernetes.api import Api, ApiError

VERSION = "4.32.0"
TIMEOUT_S = 600.0


class StandIn(sdk.Provider):
    """One configured provider: one API server."""

    def __init__(self) -> None:
        self._connected: Api | None = None
        self._kubeconfig = self._context = ""

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        texts = {key: value.value for key, value in request.args.items()}
        self._kubeconfig, self._context = str(texts.get("kubeconfig") or ""), str(texts.get("context") or "")
        return await super().configure(request)

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        old, new = objects.manifest(objects.last_inputs(request.old_state)), objects.manifest(request.new_inputs)
        changed = list(objects.differences(old, new))
        replaces = [path for path in changed if objects.fixed(old["kind"], path)]
        same_name = old["metadata"]["name"] == new["metadata"]["name"]
        kinds = {path: self._kind(path in replaces) for path in changed}
        return sdk.DiffResponse(
            changes=bool(changed),
            replaces=replaces,
            delete_before_replace=bool(replaces) and same_name,
            diffs=changed,
            detailed_diff=kinds,
        )

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        asked = objects.manifest(request.properties)
        if request.preview:
            await self._try(asked, known=objects.known(request.properties))
            return sdk.CreateResponse(properties=objects.state(request.properties))
        if await self._api().get(asked):
            raise RuntimeError(f"{_title(asked)} already exists, and not by this stack")
        await self._apply(asked, request.timeout)
        return sdk.CreateResponse(resource_id=_title(asked), properties=objects.state(request.properties))

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        inputs = objects.last_inputs(request.properties)
        live = await self._api().get(objects.manifest(inputs))
        if live is None:
            return sdk.ReadResponse()
        found = {key: objects.seen(value, live.get(key, objects.plain(value))) for key, value in inputs.items()}
        return sdk.ReadResponse(resource_id=request.resource_id, properties=objects.state(found), inputs=found)

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        asked = objects.manifest(request.news)
        kept = sdk.UpdateResponse(properties=objects.state(request.news))
        if request.preview:
            return kept
        live = await self._api().get(asked) or {}
        await self._apply(objects.without_others(asked, live, list(request.ignore_changes)), request.timeout)
        return kept

    async def delete(self, request: sdk.DeleteRequest) -> None:
        asked = objects.manifest(objects.last_inputs(request.properties))
        if not await self._api().delete(asked):
            return
        end = time.monotonic() + (request.timeout or TIMEOUT_S)
        while not ready.skipped(asked) or asked["kind"] == "Namespace":
            live = await self._api().get(asked)
            if live is None:
                return
            if time.monotonic() > end:
                raise RuntimeError(f"{_title(asked)} is still there, because of {live['metadata'].get('finalizers')}")
            await asyncio.sleep(0.2)

    async def _apply(self, asked: dict[str, object], timeout: float) -> None:
        live = await self._api().apply(asked)
        end = time.monotonic() + (timeout or TIMEOUT_S)
        while not ready.skipped(asked) and (lacks := ready.missing(live)):
            if time.monotonic() > end:
                raise RuntimeError(f"{_title(asked)} is not ready: {lacks}")
            await asyncio.sleep(0.2)
            live = await self._api().get(asked) or live

    async def _try(self, asked: dict[str, object], *, known: bool) -> None:
        """Have the API server look at an object; where its namespace or its kind is still to come, nobody can."""
        if not known:
            return
        try:
            await self._api().apply(asked, dry_run=True)
        except ApiError as error:
            if error.status != 404:
                raise

    def _api(self) -> Api:
        if self._connected is None:
            self._connected = Api(self._kubeconfig, self._context)
        return self._connected

    @staticmethod
    def _kind(replace: bool) -> sdk.PropertyDiff:
        kinds = sdk.PropertyDiffKind
        return sdk.PropertyDiff(kinds.UPDATE_REPLACE if replace else kinds.UPDATE, input_diff=True)


def _title(asked: dict[str, object]) -> str:
    metadata = asked["metadata"]
    assert isinstance(metadata, dict)
    return "/".join([*([metadata["namespace"]] if "namespace" in metadata else []), str(metadata["name"])])


def end_with_the_engine(engine: int) -> None:
    """Leave when the process that started this one is gone; it may have had no time to say so."""
    while os.getppid() == engine:
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_engine, args=(os.getppid(),), daemon=True).start()
    main(sys.argv[1:], VERSION, StandIn())
