"""Runs Alembic in a process of its own: an `env.py` is somebody else's code. The DSN comes by the environment.

`python -P -m holdfast.migrations.alembic_child FOLDER chain|upgrade|downgrade [REVISION]`; the answer is JSON.
"""

from __future__ import annotations

import json
import sys

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory


def main(argv: list[str]) -> int:
    """Carry out one verb."""
    folder, verb, *rest = argv
    config = Config(stdout=sys.stderr)
    config.set_main_option("script_location", folder.replace("%", "%%"))
    if verb == "chain":
        script = ScriptDirectory.from_config(config)
        heads = script.get_heads()
        chain = [revision.revision for revision in script.walk_revisions()] if len(heads) == 1 else []
        print(json.dumps({"heads": heads, "chain": chain[::-1]}))
    elif verb == "upgrade":
        command.upgrade(config, rest[0])
    elif verb == "downgrade":
        command.downgrade(config, rest[0])
    else:
        print(f"unknown verb {verb}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
