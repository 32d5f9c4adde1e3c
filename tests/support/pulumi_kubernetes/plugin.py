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
from typing import Any

import grpc
from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental import server
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2, status_pb2
from support.pulumi_kubernetes import objects, ready
from support.pulumi_kubernetes.api import Api, ApiError

VERSION = "4.32.0"
TIMEOUT_S = 600.0


class NotReady(Exception):
    """An object was made and is not as it should be: Pulumi keeps it, and knows that."""

    def __init__(self, title: str, lacks: str, kept: dict[str, PropertyValue]) -> None:
        super().__init__(f"{title} is not ready: {lacks}")
        self.title = title
        self.kept = kept


class Servicer(ProviderServicer):
    """Tells the engine of an object that is not ready what was made; the SDK's own cannot."""

    async def Create(self, request: Any, context: Any) -> Any:
        try:
            return await super().Create(request, context)  # type: ignore[no-untyped-call]
        except NotReady as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error), partial(error))

    async def Update(self, request: Any, context: Any) -> Any:
        try:
            return await super().Update(request, context)  # type: ignore[no-untyped-call]
        except NotReady as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error), partial(error))


def partial(error: NotReady) -> tuple[tuple[str, bytes], ...]:
    """What was made, as the protocol has it: an ErrorResourceInitFailed in the status of the answer."""
    made = provider_pb2.ErrorResourceInitFailed(
        id=error.title, reasons=[str(error)], properties=PropertyValue.marshal_map(error.kept)
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    status.details.add().Pack(made)
    return (("grpc-status-details-bin", status.SerializeToString()),)


class StandIn(sdk.Provider):
    """One configured provider: one API server."""

    def __init__(self) -> None:
        self._cancelled = False
        self._connected: Api | None = None
        self._kubeconfig = self._context = ""

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        texts = {key: value.value for key, value in request.args.items()}
        self._kubeconfig, self._context = str(texts.get("kubeconfig") or ""), str(texts.get("context") or "")
        return await super().configure(request)

    async def cancel(self) -> None:
        """Wait no more for anything."""
        self._cancelled = True

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
        kept = objects.state(request.properties)
        await self._apply(asked, request.timeout, kept)
        return sdk.CreateResponse(resource_id=_title(asked), properties=kept)

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
        theirs = objects.without_others(asked, live, list(request.ignore_changes))
        await self._apply(theirs, request.timeout, objects.state(request.news))
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
            if time.monotonic() > end or self._cancelled:
                raise RuntimeError(f"{_title(asked)} is still there, because of {live['metadata'].get('finalizers')}")
            await asyncio.sleep(0.2)

    async def _apply(self, asked: dict[str, object], timeout: float, kept: dict[str, PropertyValue]) -> None:
        live = await self._api().apply(asked)
        end = time.monotonic() + (timeout or TIMEOUT_S)
        while not ready.skipped(asked) and (lacks := ready.missing(live)):
            if time.monotonic() > end or self._cancelled:
                raise NotReady(_title(asked), lacks, kept)
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
    vars(server)["ProviderServicer"] = Servicer  # its main makes one, and cannot be given another
    server.main(sys.argv[1:], VERSION, StandIn())
