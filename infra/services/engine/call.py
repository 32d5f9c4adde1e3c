"""Who asks: the metadata of a gRPC call."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

REQUEST_ID = "x-request-id"
IDEMPOTENCY_KEY = "idempotency-key"


@dataclass(frozen=True, slots=True)
class Call:
    """One request of one caller. Without an idempotency key each call is executed."""

    request_id: str
    idempotency_key: str | None
    preview: bool


def call_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> Call:
    """Read the metadata; a call without a request id gets one."""
    fields = {key: value for key, value in metadata or () if isinstance(value, str)}
    return Call(
        request_id=fields.get(REQUEST_ID) or uuid.uuid4().hex,
        idempotency_key=fields.get(IDEMPOTENCY_KEY) or None,
        preview="x-holdfast-preview" in fields,
    )
