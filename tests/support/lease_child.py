"""An operator: `python lease_child.py KUBECONFIG NAMESPACE HOLDER DURATION_S` takes the release lock and holds it.

The first line of stdout is {"token": N} or {"refused": text}; each line of stdin is then obeyed and answered by a line:
`check` ("ours" or the loss), `note TEXT`. The end of stdin releases the lock.
"""

from __future__ import annotations

import json
import sys

from holdfast.errors import Refused
from holdfast.infra.targets.cluster.api import Api
from holdfast.infra.targets.cluster.lease import Lease, LeaseLost


def obey(lease: Lease, order: str) -> str:
    """Carry out one line."""
    word, _, text = order.strip().partition(" ")
    try:
        if word == "note":
            lease.note(text)
        lease.check()
    except LeaseLost as lost:
        return str(lost)
    return "ours"


def main(kubeconfig: str, namespace: str, holder: str, duration_s: str) -> None:
    """Hold it until stdin ends."""
    lease = Lease(Api(kubeconfig, namespace), duration_s=int(duration_s))
    try:
        with lease.held(holder) as token:
            say({"token": token})
            for order in sys.stdin:
                say(obey(lease, order))
    except Refused as refused:
        say({"refused": str(refused)})


def say(answer: object) -> None:
    """One line."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
