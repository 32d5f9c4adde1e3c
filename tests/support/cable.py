"""A cable to an API server that can be pulled: a TCP relay, and a kubeconfig that leads over it."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class Cable:
    """Relays connections; while it is pulled, those that were open are cut and new ones are closed at once."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._pulled = False
        threading.Thread(target=self._accept, daemon=True).start()

    def pull(self) -> None:
        """Nobody reaches the API server over this cable."""
        with self._lock:
            self._pulled = True
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def plug(self) -> None:
        """As before."""
        self._pulled = False

    def close(self) -> None:
        """End it."""
        self.pull()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(self._upstream, timeout=5) as far:
            far.settimeout(None)
            with self._lock:
                if self._pulled:
                    return
                self._open |= {near, far}
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join()
            with self._lock:
                self._open -= {near, far}


@contextmanager
def cable_to(kubeconfig: Path, folder: Path) -> Iterator[tuple[Cable, Path]]:
    """A cable to the cluster of a kubeconfig, and the kubeconfig that leads over it; certificates stay valid."""
    document = yaml.safe_load(kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    cable = Cable(str(server.hostname), server.port or 443)
    cluster |= {"server": f"https://127.0.0.1:{cable.port}", "tls-server-name": server.hostname}
    if authority := cluster.pop("certificate-authority", ""):
        cluster["certificate-authority-data"] = base64.b64encode(Path(authority).read_bytes()).decode()
    path = folder / f"over-{cable.port}.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)
    try:
        yield cable, path
    finally:
        cable.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
