"""The home of a stack on this machine: `.holdfast/` and what lies in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import Refused


@dataclass(frozen=True)
class Home:
    """Paths. Nothing is created here but by `make`."""

    root: Path

    @property
    def state(self) -> Path:
        """What must survive: units, ports, colors, links."""
        return self.root / "state"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.root / "logs"

    @property
    def data(self) -> Path:
        """The stores' data."""
        return self.root / "data"

    @property
    def envoy(self) -> Path:
        """Envoy's bootstrap and the route file, in a folder of their own because Envoy watches it."""
        return self.root / "envoy"

    @property
    def releases(self) -> Path:
        """One read-only folder a release."""
        return self.root / "releases"

    @property
    def journal(self) -> Path:
        """Operations and the lock."""
        return self.root / "journal"

    @property
    def runs(self) -> Path:
        """Evidence, one folder a run."""
        return self.root / "runs"

    def make(self) -> Home:
        """Create the folders; private, because data and secrets lie in them."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.state, self.logs, self.data, self.envoy, self.releases, self.journal, self.runs):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise Refused(
                f"could not create {self.root}",
                because=error.strerror or str(error),
                way_out="run holdfast in a folder that you can write to, or name one with --home",
            ) from error
        return self


def home_at(path: str | Path = ".holdfast") -> Home:
    """The home at `path`, absolute: processes carry it as their tag."""
    return Home(Path(path).resolve())
