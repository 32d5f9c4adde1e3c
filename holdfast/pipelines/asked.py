"""What the commands share that provision a stack: which one, and where."""

from __future__ import annotations

import msgspec

from holdfast.infra.home import home_at
from holdfast.infra.program.model import EnvironmentName
from holdfast.infra.targets.kept import TargetName, Where, where_of


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which stack, and where: what is not said is as the home remembers it.

    `backend`: where Pulumi keeps its state, any URL that it takes. `secrets_provider`: likewise, for secrets. `cancel`:
    end the lock on the state first, whoever has it.
    """

    stack: str | None = None
    home: str = ".holdfast"
    target: TargetName | None = None
    environment: EnvironmentName | None = None
    backend: str | None = None
    secrets_provider: str | None = None
    cancel: bool = False
    quiet: bool = False

    def where(self, *, looking: bool = False) -> Where:
        """Where the command acts. Raises UsageError and Refused as `where_of` does."""
        return where_of(
            home_at(self.home),
            target=self.target,
            environment=self.environment,
            backend=self.backend,
            secrets_provider=self.secrets_provider,
            looking=looking,
        )
