"""Serves a stack's links as plain TCP: `python relay.py LINKS_JSON` relays each listen address to its upstream.

Beside LINKS_JSON it keeps relay.json: the bytes that passed each link so far, both ways together.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path


class Relay:
    """All links of one stack."""

    def __init__(self, table: Path) -> None:
        self.links = json.loads(table.read_text())["links"]
        self.counts = table.with_name("relay.json")
        self.bytes: Counter[str] = Counter()

    async def run(self) -> None:
        for link in self.links:
            host, _, port = link["listen"].rpartition(":")
            await asyncio.start_server(partial(self.serve, link), host, int(port))
        while True:
            temporary = self.counts.with_suffix(".tmp")
            temporary.write_text(json.dumps(self.bytes))
            temporary.rename(self.counts)
            await asyncio.sleep(0.1)

    async def serve(self, link: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = link["upstream"].rpartition(":")
        try:
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            self.pump(link["name"], reader, there_writer), self.pump(link["name"], there_reader, writer)
        )

    async def pump(self, name: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                self.bytes[name] += len(data)
                sink.write(data)
                await sink.drain()
        sink.close()


if __name__ == "__main__":
    asyncio.run(Relay(Path(sys.argv[1])).run())
