"""What a Redis holds: every key as a hash of its name, of its value, and its end; and how two of them differ."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.infra.recovery.manifest import RedisFacts

if TYPE_CHECKING:
    from redis import Redis

BATCH = 500
"""Keys that are read in one round trip."""
MARGIN_S = 5.0
"""A key that ends within this time may be gone already, or still be there: neither is a difference."""
GROUP_FIELDS = ("name", "last-delivered-id", "pending")


class Databases:
    """The numbered databases of one server. `make` gives a client of a number, so that no client ever changes its."""

    def __init__(self, make: Callable[[int], Redis]) -> None:
        self._make = make
        self._clients: dict[int, Redis] = {}

    def __getitem__(self, number: int) -> Redis:
        if number not in self._clients:
            self._clients[number] = self._make(number)
        return self._clients[number]

    def used(self) -> list[int]:
        """The numbers of the databases that hold keys."""
        return sorted(int(name.removeprefix("db")) for name in self[0].info("keyspace"))

    def close(self) -> None:
        """Close every client."""
        for client in self._clients.values():
            client.close()


class Key(msgspec.Struct, frozen=True, array_like=True):
    """A key: the hash of its value, and when it ends (Unix seconds, None: never)."""

    value: str
    end: float | None = None


Index = dict[str, Key]
"""Keys by the hash of database and name."""


def read_index(server: Databases, numbers: dict[int, int]) -> Index:
    """Read all keys of some databases; `numbers`: the number of each → the number that it counts as."""
    index: Index = {}
    for number, counted in numbers.items():
        for names in batches(server[number]):
            for name, key in _read(server[number], names):
                index[_hash(b"%d" % counted, name)] = key
    return index


def batches(client: Redis) -> Iterator[list[bytes]]:
    """The names of all keys of a database, some hundreds at a time."""
    names: list[bytes] = []
    for name in client.scan_iter(count=BATCH):
        names.append(name)
        if len(names) >= BATCH:
            yield names
            names = []
    if names:
        yield names


def facts_of(index: Index, *, version: str, at: float, databases: list[int]) -> RedisFacts:
    """Sum an index up."""
    lasting = [(name, key) for name, key in index.items() if key.end is None]
    total = sum(int(_hash(name.encode(), key.value.encode()), 16) for name, key in lasting)
    return RedisFacts(
        version=version,
        at=at,
        keys=len(lasting),
        expiring=len(index) - len(lasting),
        hash=f"{total:x}",
        databases=databases,
    )


def write_index(index: Index, path: Path) -> None:
    """A line a key, in the order of the hashes."""
    lines = (f"{name} {key.value} {'' if key.end is None else f'{key.end:.3f}'}" for name, key in sorted(index.items()))
    path.write_text("".join(line + "\n" for line in lines), encoding="ascii")


def load_index(path: Path) -> Index:
    """Read what `write_index` wrote."""
    index: Index = {}
    for line in path.read_text(encoding="ascii").splitlines():
        name, value, end = line.split(" ")
        index[name] = Key(value, float(end) if end else None)
    return index


def key_differences(expected: Index, found: Index, *, now: float | None = None) -> list[str]:
    """What is not as it was, in words; empty when all is equal. Keys whose end has come may be gone."""
    now = time.time() if now is None else now

    def lasts(key: Key) -> bool:
        return key.end is None or key.end > now + MARGIN_S

    missing = sum(1 for name, key in expected.items() if lasts(key) and name not in found)
    extra = sum(1 for name in found if name not in expected)
    changed = sum(1 for name, key in found.items() if name in expected and key.value != expected[name].value)
    ends = sum(1 for name, key in found.items() if name in expected and not _same_end(key.end, expected[name].end))
    counts = {"missing": missing, "not there before": extra, "of another value": changed, "with another end": ends}
    return [f"{count} of {len(expected)} keys are {what}" for what, count in counts.items() if count]


def _same_end(one: float | None, other: float | None) -> bool:
    """Ends are read as the time that is left: two readings of one end differ by milliseconds."""
    if one is None or other is None:
        return one is other
    return abs(one - other) < MARGIN_S


def _read(client: Redis, names: list[bytes]) -> Iterator[tuple[bytes, Key]]:
    """Read some keys; one that ends in between is left out."""
    ask = client.pipeline(transaction=False)
    for name in names:
        ask.type(name)
        ask.pttl(name)
    answers = ask.execute()
    now = time.time()
    found = [(name, answers[2 * i], answers[2 * i + 1]) for i, name in enumerate(names)]
    found = [(name, kind, left) for name, kind, left in found if kind != b"none"]
    ask = client.pipeline(transaction=False)
    for name, kind, _ in found:
        READ.get(kind, _dumped)(ask, name)
    values = ask.execute()
    for (name, kind, left), value in zip(found, values, strict=True):
        parts = list(_parts(kind, value))
        if kind == b"stream":
            parts += _groups(client, name)
        yield name, Key(_hash(kind, *parts), now + left / 1000 if left >= 0 else None)


READ: dict[bytes, Callable[[Any, bytes], Any]] = {
    b"string": lambda ask, name: ask.get(name),
    b"list": lambda ask, name: ask.lrange(name, 0, -1),
    b"set": lambda ask, name: ask.smembers(name),
    b"hash": lambda ask, name: ask.hgetall(name),
    b"zset": lambda ask, name: ask.zrange(name, 0, -1, withscores=True),
    b"stream": lambda ask, name: ask.xrange(name),
}
"""How a type is read. Its value is hashed, not what DUMP gives: that depends on how a server stores it."""


def _dumped(ask: Any, name: bytes) -> Any:
    """A type that a module brings: only the server knows its value."""
    return ask.dump(name)


def _parts(kind: bytes, value: Any) -> Iterator[bytes]:
    """The parts of a value, in an order that does not depend on how a server stores it."""
    match kind:
        case b"list":
            yield from value
        case b"set":
            yield from sorted(value)
        case b"hash":
            for field, content in sorted(value.items()):
                yield from (field, content)
        case b"zset":
            for member, score in value:
                yield from (member, repr(float(score)).encode())
        case b"stream":
            for entry, fields in value:
                yield entry
                for field, content in fields.items():
                    yield from (field, content)
        case _:
            yield value or b""


def _groups(client: Redis, name: bytes) -> Iterator[bytes]:
    """The consumer groups of a stream: how far each has come. The fields that every version has."""
    for group in client.xinfo_groups(name):
        for field in GROUP_FIELDS:
            value = group[field]
            yield value if isinstance(value, bytes) else str(value).encode()


def _hash(*parts: bytes) -> str:
    """64 bits of SHA-256 over the parts with their lengths, so that no two ways of cutting are the same."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()[:16]
