"""The drills of disaster recovery, as functions: each is a run with a report, and leaves nothing else behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import UsageError
from holdfast.infra.home import home_at
from holdfast.infra.recovery.desk import journal_folder
from holdfast.infra.recovery.drill import DrillOptions, RestoreDrill
from holdfast.infra.recovery.failover import PLANTS as FAILOVER_PLANTS
from holdfast.infra.recovery.failover import FailoverDrill, FailoverOptions, sweep_regions, two_regions
from holdfast.infra.recovery.plants import PLANTS
from holdfast.infra.targets.cluster.access import find_access
from holdfast.journal import Journal
from holdfast.pipelines.compose import find_stack
from holdfast.pipelines.failover_gates import failover_report
from holdfast.pipelines.progress import Progress
from holdfast.pipelines.recovery import stores_at, where_it_runs
from holdfast.pipelines.recovery_gates import MAX_RPO_S, MAX_RTO_S, restore_drill_report
from holdfast.pipelines.targets import STORES, running_target
from holdfast.report.model import Report
from holdfast.report.write import write_report
from holdfast.run import open_run, read_history


@dataclass(frozen=True)
class DrillLimits:
    """What a drill must keep to, in seconds."""

    rpo_s: float = MAX_RPO_S
    rto_s: float = MAX_RTO_S


def drill_restore(
    stack: str | None, home: str, options: DrillOptions, limits: DrillLimits, *, quiet: bool = False
) -> tuple[Report, Path]:
    """Back the running stack up, restore it beside, compare. Returns the report and the path of its page."""
    if options.plant and options.plant not in PLANTS:
        raise UsageError(
            f"there is no plant {options.plant}", because=f"known: {', '.join(PLANTS)}", way_out="name one of those"
        )
    _, target = running_target(stack, home, parts=(STORES,))
    with Journal(journal_folder(target.home)).lock("holdfast drill restore"):
        run = open_run(target.home.runs, command=f"drill restore {options.plant}".strip(), stack=target.stack.name)
        try:
            with Progress(quiet=quiet) as progress:
                run.timeline.listen(progress)
                run.timeline.point("drill.limits", rpo_s=limits.rpo_s, rto_s=limits.rto_s)
                RestoreDrill(
                    stack=target.stack,
                    stores=stores_at(target),
                    timeline=run.timeline,
                    folder=run.path,
                    options=options,
                    where=where_it_runs(target),
                ).carry_out()
        finally:
            run.close()
            report = restore_drill_report(read_history(run.path))
            path = write_report(run.path, report)
    return report, path


def drill_failover(
    stack: str | None, home: str, options: FailoverOptions, limits: DrillLimits, *, quiet: bool = False
) -> tuple[Report, Path]:
    """Cut a region off and let the other one take over, in two namespaces of the drill's own on the cluster.

    Returns the report and the path of its page. Raises Refused where there is no cluster, or a store cannot follow.
    """
    if options.plant and options.plant not in FAILOVER_PLANTS:
        raise UsageError(
            f"there is no plant {options.plant}",
            because=f"known: {', '.join(FAILOVER_PLANTS)}",
            way_out="name one of those",
        )
    at, access = home_at(home), find_access()
    wanted = find_stack(stack, at).read()
    primary, secondary = two_regions(wanted, access, options.image)
    sweep_regions(access)
    run = open_run(at.make().runs, command=f"drill failover {options.plant}".strip(), stack=wanted.name)
    try:
        with Progress(quiet=quiet) as progress:
            run.timeline.listen(progress)
            run.timeline.point("drill.limits", rpo_s=limits.rpo_s, rto_s=limits.rto_s)
            FailoverDrill(
                stack=wanted, primary=primary, secondary=secondary, timeline=run.timeline, options=options
            ).carry_out()
    finally:
        run.close()
        report = failover_report(read_history(run.path))
        path = write_report(run.path, report)
    return report, path
