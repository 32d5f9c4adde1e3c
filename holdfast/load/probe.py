"""A short load against one color, for the gates before a switch."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from holdfast.ledger import Request, read_ledger
from holdfast.load.plan import LoadPlan
from holdfast.load.process import LoadProcess
from holdfast.load.profile import Profile
from holdfast.run import Run


def probe(
    url: str, profile: Profile, run: Run, stream: str, headers: Mapping[str, str], seconds: float
) -> list[Request]:
    """Offer `profile` to `url` for `seconds` as `stream`, and return that stream's requests from the run's ledger."""
    plan = LoadPlan(
        stream=stream,
        url=url,
        profile=msgspec.structs.replace(profile, duration=f"{round(seconds * 1000)}ms"),
        run_dir=str(run.path),
        run_id=run.id,
        seed=run.info.seed,
        headers=dict(headers),
    )
    with LoadProcess.start(plan) as load:
        load.wait(plan.bound + 5)
    return stream_requests(read_ledger(run.path / "ledger.jsonl"), run.id, stream)


def stream_requests(requests: list[Request], run_id: str, stream: str) -> list[Request]:
    """Those of one stream, by their ids."""
    prefix = f"{run_id}-{stream}-"
    return [r for r in requests if r.id.startswith(prefix) and r.id[len(prefix) :].isdigit()]
