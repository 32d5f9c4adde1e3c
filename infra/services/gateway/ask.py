"""What a client asks: message, ids and the headers that are passed on, read from a request and validated."""

import uuid
from dataclasses import dataclass

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request

from services.common import trace
from services.gateway.failure import Failure, bad_request

ID_LIMIT = 200
PREVIEW = "x-holdfast-preview"
Metadata = tuple[tuple[str, str], ...]


class Body(msgspec.Struct):
    """The JSON of a chat. Other members are ignored."""

    message: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One chat. `passed_on` is the trace context and the preview header, as gRPC metadata."""

    message: str
    request_id: str
    idempotency_key: str | None
    passed_on: Metadata

    def metadata(self, idempotency_key: str | None) -> Metadata:
        """The metadata of an engine call."""
        key = (("idempotency-key", idempotency_key),) if idempotency_key else ()
        return (("x-request-id", self.request_id), *key, *self.passed_on)


async def ask_of(request: Request, body_limit: int) -> Ask:
    """Read and validate a chat. Raises Failure 400 or 413."""
    message = await _message(request, body_limit)
    return Ask(
        message=message,
        request_id=request.scope["request_id"],
        idempotency_key=_id(request.headers, "idempotency-key"),
        passed_on=_passed_on(request.headers),
    )


def request_id_of(headers: Headers) -> str:
    """The client's request id, or a new one. Raises Failure 400 for one that cannot be passed on."""
    return _id(headers, "x-request-id") or uuid.uuid4().hex


def last_event_id(headers: Headers) -> int:
    """The number of the last event that the client has, 0 without one. Raises Failure 400."""
    value = headers.get("last-event-id", "")
    if not value:
        return 0
    if not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise bad_request("Last-Event-ID must be the number of an event of this stream")
    return int(value)


async def _message(request: Request, body_limit: int) -> str:
    if request.method == "GET":
        message = request.query_params.get("message", "")
    else:
        message = _decoded(await _body(request, body_limit)).message
    if not message:
        raise bad_request("message must be a string that is not empty")
    return message


async def _body(request: Request, limit: int) -> bytes:
    """The body, given up as soon as it is known to be too large."""
    body = bytearray()
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _decoded(body: bytes) -> Body:
    try:
        return msgspec.json.decode(body, type=Body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f'the body must be JSON like {{"message": "hello"}}: {error}') from error


def _too_large(limit: int) -> Failure:
    return Failure(413, "TOO_LARGE", f"the body is larger than {limit} bytes")


def _id(headers: Headers, name: str) -> str | None:
    value = headers.get(name)
    if not value:
        return None
    if len(value) > ID_LIMIT or not (value.isascii() and value.isprintable()):
        raise bad_request(f"{name} must be 1 to {ID_LIMIT} printable ASCII characters")
    return value


def _passed_on(headers: Headers) -> Metadata:
    states = ",".join(headers.getlist("tracestate"))
    traceparent, tracestate = trace.child(headers.get("traceparent"), states or None)
    state = (("tracestate", tracestate),) if tracestate else ()
    preview = _id(headers, PREVIEW)
    return (("traceparent", traceparent), *state, *(((PREVIEW, preview),) if preview else ()))
