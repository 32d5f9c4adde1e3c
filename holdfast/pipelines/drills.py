"""The drills of disaster recovery, as functions: each is a run with a report, and leaves nothing else behind."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import Refused, UsageError
from holdfast.infra.home import Home, home_at
from holdfast.infra.recovery.desk import journal_folder
from holdfast.infra.recovery.drill import DrillOptions, RestoreDrill
from holdfast.infra.recovery.failover import PLANTS as FAILOVER_PLANTS
from holdfast.infra.recovery.failover import FailoverDrill, FailoverOptions
from holdfast.infra.recovery.local_regions import two_folders
from holdfast.infra.recovery.plants import PLANTS
from holdfast.infra.recovery.regions import Region
from holdfast.infra.stack import Stack
from holdfast.infra.targets.kept import TargetName, where_of
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

REGIONS = "regions"


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
    refuse_without_stores(target.stack)
    refuse_cluster_only(target.stack)
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
    stack: str | None,
    home: str,
    options: FailoverOptions,
    limits: DrillLimits,
    *,
    target: TargetName | None = None,
    image: str = "",
    quiet: bool = False,
) -> tuple[Report, Path]:
    """Cut a region off and let the other one take over, in regions of the drill's own; what runs is not touched.

    `target`: where the regions are made (None: where the home has its stack). `image`: of the stores on a cluster,
    instead of the stack's own. Returns the report and the path of its page. Raises Refused where there is no cluster,
    or where a store cannot follow.
    """
    if options.plant and options.plant not in FAILOVER_PLANTS:
        raise UsageError(
            f"there is no plant {options.plant}",
            because=f"known: {', '.join(FAILOVER_PLANTS)}",
            way_out="name one of those",
        )
    at = home_at(home)
    wanted = find_stack(stack, at).read()
    where = target or where_of(at, looking=True).target
    refuse_without_stores(wanted)
    with Journal(journal_folder(at)).lock("holdfast drill failover"):
        primary, secondary = _regions(wanted, at, where, image)
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
            shutil.rmtree(at.root / REGIONS, ignore_errors=True)
            report = failover_report(read_history(run.path))
            path = write_report(run.path, report)
    return report, path


def refuse_without_stores(stack: Stack) -> None:
    """Raise Refused for a stack that has nothing to lose."""
    if not stack.stores:
        raise Refused(
            f"there is nothing to drill in {stack.name}",
            because="its YAML names no store",
            way_out="name a stack with stores: --stack",
        )


def refuse_cluster_only(stack: Stack) -> None:
    """Raise Refused for a stack that this machine cannot run: the restore is made here, beside."""
    if stack.cluster and stack.cluster.only:
        raise Refused(
            f"{stack.name} cannot be restored on this machine",
            because="its YAML says `cluster: {only: true}`",
            way_out="holdfast backup, then in another environment: holdfast restore last --to here --replace",
        )


def _regions(stack: Stack, home: Home, where: str, image: str) -> tuple[Region, Region]:
    """Two regions on this machine or on the cluster, after ending what killed drills left there."""
    if where == "local":
        return two_folders(stack, home.root / REGIONS)
    from holdfast.infra.recovery.cluster_regions import two_namespaces
    from holdfast.infra.targets.cluster.access import find_access
    from holdfast.infra.targets.cluster.throwaway import sweep

    access = find_access()
    made = two_namespaces(stack, access, image)
    sweep(access)
    return made
