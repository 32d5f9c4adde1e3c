"""Pulumi's events on our timeline: an object is begun, it is done, it failed; and what was said."""

from __future__ import annotations

import re
from collections import Counter

import msgspec
from pulumi.automation.events import EngineEvent, OpType, StepEventMetadata

from holdfast.timeline import Timeline

SILENT = (OpType.SAME, OpType.READ, OpType.REFRESH)
NO_CHANGE = ("same", "read")
WORDS = {
    OpType.REFRESH: "same",
    OpType.CREATE_REPLACEMENT: "replace",
    OpType.DELETE_REPLACED: "replace",
}
"""Operations that have another name here: a replacement is several steps of one object."""
TAG = re.compile(r"<\{%[^%]*%\}>")
"""Pulumi's marks for colors in texts."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What is done, or would be done, to an object. `name` is NAMESPACE/Kind/name (`cluster/…` where it has none).

    `operation`: create, update, replace, delete, same…; `differs`: the fields because of which.
    """

    region: str
    name: str
    operation: str
    differs: list[str] = []


class Listener:
    """Writes events as they come and keeps what happened to which object. `planned`: nothing happens, it is a preview.

    An object may be in several events, as when it is looked at first: the first change of it counts.
    """

    def __init__(self, timeline: Timeline | None = None, *, planned: bool = False) -> None:
        self._timeline = timeline
        self._planned = planned
        self.operations: dict[str, Operation] = {}
        self.failures: list[str] = []

    @property
    def counts(self) -> Counter[str]:
        """Operation → how many objects."""
        return Counter(found.operation for found in self.operations.values())

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.resource_pre_event:
            self._begun(event.resource_pre_event.metadata)
        if event.res_outputs_event:
            self._done(event.res_outputs_event.metadata)
        if event.res_op_failed_event:
            self._point("failed", event.res_op_failed_event.metadata)
        if event.diagnostic_event and event.diagnostic_event.severity in ("error", "info#err"):
            self._failure(TAG.sub("", event.diagnostic_event.message).strip(), event.diagnostic_event.urn or "")

    def _begun(self, metadata: StepEventMetadata) -> None:
        if not _of_kubernetes(metadata.urn):
            return
        if metadata.op is not OpType.REFRESH:  # what a refresh finds is known at its end
            self._keep(metadata)
        self._point("begin", metadata)

    def _done(self, metadata: StepEventMetadata) -> None:
        if not _of_kubernetes(metadata.urn):
            return
        self._keep(metadata)
        self._point("done", metadata)

    def _keep(self, metadata: StepEventMetadata) -> None:
        name, operation = _name(metadata.urn), WORDS.get(metadata.op, metadata.op.value)
        known = self.operations.get(name)
        if known is not None and known.operation not in NO_CHANGE:
            return
        differs = list(metadata.diffs or []) if operation not in NO_CHANGE else []
        region = _region(metadata.provider)
        self.operations[name] = Operation(region=region, name=name, operation=operation, differs=differs)

    def _point(self, outcome: str, metadata: StepEventMetadata) -> None:
        if self._timeline and metadata.op not in SILENT:
            data = {"op": metadata.op.value, "object": _name(metadata.urn), "kind": _kind(metadata.urn)}
            self._timeline.point(f"pulumi.{outcome}", **data, planned=self._planned)

    def _failure(self, message: str, urn: str) -> None:
        if not message or message in self.failures:
            return
        self.failures.append(message)
        if self._timeline:
            self._timeline.point("pulumi.error", object=urn.rpartition("::")[2], message=message)


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


def _kind(urn: str) -> str:
    return urn.split("::")[-2].rpartition("$")[2]


def _region(provider: str) -> str:
    """urn:pulumi:STACK::PROJECT::pulumi:providers:kubernetes::primary::ID → primary."""
    parts = provider.split("::")
    return parts[3] if len(parts) > 3 else ""


def _of_kubernetes(urn: str) -> bool:
    return _kind(urn).startswith("kubernetes:")
