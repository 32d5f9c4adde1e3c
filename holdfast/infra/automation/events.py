"""Pulumi's events on our timeline: an object is begun, it is done, it failed; and what was said."""

from __future__ import annotations

import re
from collections import Counter

from pulumi.automation.events import EngineEvent, OpType, StepEventMetadata

from holdfast.timeline import Timeline

SILENT = (OpType.SAME, OpType.READ, OpType.REFRESH)
TAG = re.compile(r"<\{%[^%]*%\}>")
"""Pulumi's marks for colors in texts."""


class Listener:
    """Writes events as they come and counts what happened to which object."""

    def __init__(self, timeline: Timeline | None = None) -> None:
        self._timeline = timeline
        self.counts: Counter[str] = Counter()
        self.changed: dict[str, str] = {}
        self.objects: list[str] = []
        self.failures: list[str] = []
        self._known: set[str] = set()

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
        self.objects.append(_name(metadata.urn))
        if metadata.op is not OpType.REFRESH:  # what a refresh finds is known at its end
            self._counted(metadata)
        self._point("begin", metadata)

    def _done(self, metadata: StepEventMetadata) -> None:
        if not _of_kubernetes(metadata.urn):
            return
        if self._refreshing(metadata.urn):
            self._counted(metadata)
        self._point("done", metadata)

    def _refreshing(self, urn: str) -> bool:
        """Whether the object was looked at and has not been counted."""
        return _name(urn) not in self._known

    def _counted(self, metadata: StepEventMetadata) -> None:
        name, op = _name(metadata.urn), "same" if metadata.op is OpType.REFRESH else metadata.op.value
        self._known.add(name)
        self.counts[op] += 1
        if op not in ("same", "read"):
            self.changed[name] = ": ".join([op, ", ".join(metadata.diffs or [])]).rstrip(": ")

    def _point(self, outcome: str, metadata: StepEventMetadata) -> None:
        if self._timeline and metadata.op not in SILENT:
            kind = _kind(metadata.urn)
            self._timeline.point(f"pulumi.{outcome}", op=metadata.op.value, object=_name(metadata.urn), kind=kind)

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


def _of_kubernetes(urn: str) -> bool:
    return _kind(urn).startswith("kubernetes:")
