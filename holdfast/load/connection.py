"""One HTTP/1.1 client connection: asyncio Protocol and httptools, one exchange at a time."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import httptools


class User(Protocol):
    """Whoever uses a connection for one exchange."""

    def head(self, connection: HttpConnection) -> None:
        """The answer's status and headers are there."""
        ...

    def body(self, data: bytes) -> None:
        """A part of the answer's body is there."""
        ...

    def completed(self, connection: HttpConnection) -> None:
        """The answer is whole."""
        ...

    def lost(self, connection: HttpConnection, why: str) -> None:
        """The connection ended before the answer was whole; `connection.heard` tells whether any of it came."""
        ...


class Owner(Protocol):
    """The pool, as its connections see it."""

    def released(self, connection: HttpConnection) -> None:
        """The connection is idle and may be used again."""
        ...

    def closed(self, connection: HttpConnection) -> None:
        """The connection is gone."""
        ...


class HttpConnection(asyncio.Protocol):
    """Sends one request, parses its answer, tells its user. `waited`: it was idle, so its end may be on its way."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.user: User | None = None
        self.waited = False
        self._forget_answer()

    def send(self, user: User, data: bytes) -> None:
        """Write a request; its answer goes to `user`."""
        self.user = user
        self._forget_answer()
        cast(asyncio.Transport, self._transport).write(data)

    @property
    def usable(self) -> bool:
        """Whether a request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def abandon(self) -> None:
        """Leave the exchange and end the connection at once; its user hears no more of it."""
        self.user = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Asyncio's call. Bytes that nobody waits for end the connection."""
        if self.user is None:
            self.abandon()
            return
        self.heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # ours, not the server's
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._lose(f"not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's call. An answer without a length ends with its connection, RFC 9112 §6.3."""
        self._transport = None
        del self._parser  # it refers back to us: without this, only the garbage collector could free either
        user, self.user = self.user, None
        self._owner.closed(self)
        if user is None:
            return
        if exc is None and self.status and not self._framed:
            user.completed(self)
        else:
            user.lost(self, f"connection ended: {exc or 'closed by the server'}")

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's call."""
        keep = _KEPT.get(name.lower())
        if keep is not None:
            setattr(self, keep, value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """The parser's call."""
        self.status = self._parser.get_status_code()
        if self.user is not None and self.status >= 200:
            self.user.head(self)

    def on_body(self, data: bytes) -> None:
        """The parser's call."""
        if self.user is not None:
            self.user.body(data)

    def on_message_complete(self) -> None:
        """The parser's call. An interim answer (1xx) is not the answer."""
        if self.status < 200:
            self._forget_answer()
            return
        user, self.user = self.user, None
        if user is None:
            return
        keep = self._parser.should_keep_alive()
        user.completed(self)
        if keep and self.usable:
            self._owner.released(self)
        else:
            self.close()

    def close(self) -> None:
        """Close without hurry; nothing is lost."""
        if self._transport is not None:
            self._transport.close()

    def _lose(self, why: str) -> None:
        user, self.user = self.user, None
        if self._transport is not None:
            self._transport.abort()
        if user is not None:
            user.lost(self, why)

    def _forget_answer(self) -> None:
        self.heard = False
        self.status = 0
        self.color = ""
        self.instance = ""
        self.executed = ""
        self.media_type = ""
        self._length = ""
        self._encoding = ""

    @property
    def _framed(self) -> bool:
        return bool(self._length or self._encoding)


_KEPT = {
    b"x-holdfast-color": "color",
    b"x-service-instance": "instance",
    b"x-request-executed": "executed",
    b"content-type": "media_type",
    b"content-length": "_length",
    b"transfer-encoding": "_encoding",
}
