"""What the client concludes from an answer, or from none."""

from __future__ import annotations

import pytest
from support.load import Loaded

from holdfast.ledger import ACCEPTED, ACKNOWLEDGED, FAILED, UNKNOWN

KEYED = {"method": "POST", "body": {"message": "question {n}"}, "idempotency_key": True, "effect": True}
UNKEYED = {"method": "POST", "body": {"message": "question {n}"}, "effect": True}


@pytest.mark.parametrize(
    ("path", "state", "status"),
    [
        ("/plain", ACKNOWLEDGED, 200),
        ("/accepted", ACCEPTED, 202),
        ("/refused", FAILED, 404),
        ("/failing", UNKNOWN, 500),
        ("/not-executed", FAILED, 503),
        ("/until-eof", ACKNOWLEDGED, 200),
        ("/reset", UNKNOWN, 0),
    ],
)
def test_an_answer_is_read_in_the_ledgers_words(loaded: Loaded, path: str, state: str, status: int) -> None:
    requests = loaded(path, route=UNKEYED)
    assert {r.state for r in requests} == {state}
    assert {r.settled.status for r in requests if r.settled} == {status}
    assert len(requests) == 20
