"""Light traffic through the edge while something is killed: GETs on fresh connections, chats on one that is kept.

It keeps what was acknowledged, so that nothing is lost can be checked against the effects, and names what failed.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
from support.stack import StackUnderTest

PAUSE_S = 0.04


@dataclass
class Traffic:
    """Two users until `stop`; about 50 requests a second together. At most `longest` seconds."""

    url: str
    dsn: str
    longest: float = 60.0
    failures: list[str] = field(default_factory=list)
    answered: int = 0
    acknowledged: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        self._kept = self._connection()
        for user in (self._who_am_i, self._chat):
            thread = threading.Thread(target=self._repeat, args=(user,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)
        self._kept.close()

    def check(self) -> None:
        """Nothing failed, and every acknowledged chat has exactly one effect."""
        assert self.failures == []
        assert self.answered >= 10, f"only {self.answered} answers"
        with psycopg.connect(self.dsn) as connection:
            sql = "SELECT idempotency_key, count(*) FROM effects WHERE idempotency_key = ANY(%s) GROUP BY 1"
            counted: dict[str, int] = dict(connection.execute(sql, (self.acknowledged,)).fetchall())
        lost = [key for key in self.acknowledged if key not in counted]
        double = [key for key, count in counted.items() if count > 1]
        assert (lost, double) == ([], [])

    def _repeat(self, user: Callable[[str], None]) -> None:
        end = time.monotonic() + self.longest
        for number in itertools.count():
            if self._stop.is_set() or time.monotonic() > end:
                return
            try:
                user(f"{id(self):x}-{time.time_ns():x}-{number}")
                self.answered += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {user.__name__}: {error!r}")
            self._stop.wait(PAUSE_S)

    def _connection(self) -> http.client.HTTPConnection:
        where = urlsplit(self.url)
        return http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)

    def _who_am_i(self, key: str) -> None:
        connection = self._connection()
        try:
            connection.request("GET", "/v1/whoami", headers={"x-request-id": key})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, f"{answer.status} {body[:200]!r}"
        finally:
            connection.close()

    def _chat(self, key: str) -> None:
        body = json.dumps({"message": f"question {key}"})
        headers = {"content-type": "application/json", "idempotency-key": key, "x-request-id": key}
        try:
            self._kept.request("POST", "/v1/chat", body, headers)
            answer = self._kept.getresponse()
            said = answer.read()
        except BaseException:
            self._kept.close()
            raise
        assert answer.status == 200, f"{answer.status} {said[:200]!r}"
        self.acknowledged.append(key)


def traffic_on(stack: StackUnderTest[Any], longest: float = 60.0) -> Traffic:
    return Traffic(stack.url, stack.target.store_dsn("postgres"), longest)
