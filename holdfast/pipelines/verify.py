"""`holdfast verify`: a stack of its own, two releases under load, a fault, back and forward, and one verdict."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from holdfast.children import identify, poll
from holdfast.errors import EnvironmentFailed, GateFailed, GateUnknown, HoldfastError, Interrupted, Refused, UsageError
from holdfast.infra.bluegreen.operations import Desk, Result
from holdfast.infra.home import Home, home_at
from holdfast.infra.probes import http_get
from holdfast.infra.release import build_release, plants
from holdfast.infra.stack import Color, Stack
from holdfast.infra.target import CanKill, CanLive, Target
from holdfast.infra.targets.kept import TargetName, Where
from holdfast.infra.targets.local.orphans import sweep_orphans
from holdfast.infra.targets.local.target import LocalTarget
from holdfast.load.plan import LoadPlan
from holdfast.load.process import LoadProcess
from holdfast.load.profile import load_profile
from holdfast.pipelines.compose import EffectSource, StackFile, find_stack, open_desk
from holdfast.pipelines.progress import Progress
from holdfast.pipelines.targets import open_cluster
from holdfast.pipelines.verify_gates import STREAM, TARGET, judge_verify
from holdfast.report.build import build_report
from holdfast.report.model import Report
from holdfast.report.write import write_report
from holdfast.run import Run, open_run, read_history
from holdfast.verdict import Outcome

PROFILE = "verify"
RECOVERY_TIMEOUT = 30.0
LONGEST_LOAD_S = 400.0
SHORT_WATCH_S = 3.0


@dataclass(frozen=True)
class VerifyOptions:
    """What a person can choose."""

    stack: str | None = None
    home: str = ".holdfast"
    source: str | None = None
    plant: str = ""
    short: bool = False
    rate: float | None = None
    seed: int | None = None
    keep: bool = False
    quiet: bool = False
    target: TargetName = "local"

    @property
    def calm_s(self) -> float:
        """Seconds of load between two acts."""
        return 2.0 if self.short else 6.0


def verify(options: VerifyOptions) -> tuple[Report, Path]:
    """Run it whole; returns the report and the path of its page. The stack is gone when this returns or raises.

    A release that does not pass is part of the verdict, not an error. Raises Refused or UsageError before a run
    begins, EnvironmentFailed when the stack could not be kept running.
    """
    file = _check(options)
    sweep_orphans(home_at(options.home))
    run = open_run(
        home_at(options.home).make().runs, command=f"verify {options.plant}".strip(), stack=file.path.stem,
        seed=options.seed,
    )  # fmt: skip
    home = Home(run.path / "stack")
    try:
        with Progress(quiet=options.quiet) as progress:
            run.timeline.point(TARGET, target=options.target)
            run.timeline.listen(progress)
            Verification(options, file, run, throwaway_target(options, file, home, run)).carry_out()
    finally:
        run.close()
        if not options.keep:
            _tidy(home)
    history = read_history(run.path)
    report = build_report(history, judge_verify(history))
    return report, write_report(run.path, report)


class Verification:
    """The acts of a verification, in their order."""

    def __init__(self, options: VerifyOptions, file: StackFile, run: Run, target: ThrowawayTarget) -> None:
        self.options = options
        self.file = file
        self.run = run
        self.target = target
        self.timeline = run.timeline

    def carry_out(self) -> None:
        """Build, up, release, load, release under load, kill, back, forward, drain, reconcile, down."""
        self._phase("build", self._build)
        try:
            self._phase("up", self.target.up)
            desk = open_desk(self.file, self.target, self.run)
            if not self._release("release v1", lambda: desk.deploy("v1")):
                return
            with self._load():
                self._calm("steady")
                self._under_load(desk)
                self._calm("drain")
            self._phase("reconcile", self._reconcile)
        finally:
            self._phase("down", self.target.down)

    def _under_load(self, desk: Desk) -> None:
        if not self._release("release v2 under load", lambda: desk.deploy("v2")):
            return
        self._calm("steady on v2")
        self._phase("kill an engine instance", self._kill_one)
        self._calm("steady after the fault")
        self._release("roll back", desk.rollback)
        self._calm("steady on v1")
        if self._release("roll forward", lambda: desk.deploy("v2")):
            self._release("promote", desk.promote)

    # -- acts ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        source = Path(self.options.source or self.file.folder(self.target.stack.services_from))
        releases = self.target.home.make().releases
        for version, plant in (("v1", ""), ("v2", self.options.plant)):
            self.target.prepare(build_release(version, source, releases, plant=plant))

    @contextmanager
    def _load(self) -> Iterator[None]:
        """The users: they come before the first act and go after the last."""
        profile = msgspec.structs.replace(load_profile(PROFILE), duration=f"{LONGEST_LOAD_S:g}s")
        if self.options.rate:
            arrivals = msgspec.structs.replace(profile.arrivals, rate=self.options.rate)
            profile = msgspec.structs.replace(profile, arrivals=arrivals)
        plan = LoadPlan(
            stream=STREAM,
            url=self.target.edge_url(),
            profile=profile,
            run_dir=str(self.run.path),
            run_id=self.run.id,
            seed=self.run.info.seed,
        )
        with LoadProcess.start(plan) as load:
            yield
            if not load.alive:
                raise EnvironmentFailed(
                    "the load ended before the last act",
                    because=f"its process ended with {load.exit_code}, or it was over after {LONGEST_LOAD_S:g} s",
                    way_out=f"see {self.run.path}/load-{STREAM}.log",
                )

    def _kill_one(self) -> None:
        """SIGKILL one instance of a service behind the edge's; the fault ends when it is ready again by address."""
        stack, table = self.target.stack, self.target.live()
        service = (stack.internal() or [stack.edge.service])[0]
        address = self.target.addresses({service: cast(Color, table.live(service))})[0]
        with self.timeline.span("fault", fault="kill", target=address.instance):
            self.target.kill(address.instance)
            path = stack.services[service].ready.path
            began = time.monotonic()
            for _ in poll(began + RECOVERY_TIMEOUT, every=0.05):
                after = self.target.successor(address)
                if after and http_get(after.host, after.probe_port, path).status == 200:
                    self.target.wait_ready({service: cast(Color, table.live(service))})  # and the edge knows it
                    return
            raise EnvironmentFailed(
                f"{address.instance} was not ready within {RECOVERY_TIMEOUT:g} s after it was killed",
                because="nobody brought it back, or it does not become ready",
                way_out=f"see the logs of {service} in {self.run.path}, or on the cluster",
            )

    def _reconcile(self) -> None:
        """Read what the stack did for the requests of this run, and which processes had to be started again."""
        for name, reason in self.target.restarts().items():
            self.timeline.point("restart", unit=name, reason=reason)
        effects = EffectSource(self.target.stack, self.target).read(f"{self.run.id}-")
        if effects is not None:
            self.run.record_effects(effects)

    # -- how an act is recorded ------------------------------------------------------------------------------------

    def _calm(self, name: str) -> None:
        with self.timeline.span("phase", phase=name):
            time.sleep(self.options.calm_s)

    def _phase(self, name: str, act: Callable[[], Any]) -> None:
        with self.timeline.span("phase", phase=name):
            act()

    def _release(self, name: str, act: Callable[[], Result]) -> bool:
        """An act of the release desk. That it does not pass is a verdict; it has been undone then."""
        try:
            self._phase(name, act)
        except (GateFailed, GateUnknown) as error:
            outcome = Outcome.FAIL if isinstance(error, GateFailed) else Outcome.UNKNOWN
            self._verdict(name, outcome, f"{error.what}: {error.because}")
            return False
        except Interrupted:
            raise
        except HoldfastError as error:
            self._verdict(name, Outcome.UNKNOWN, f"{error.what}: {error.because}")
            return False
        self._verdict(name, Outcome.PASS, "every step went well")
        return True

    def _verdict(self, name: str, outcome: Outcome, because: str) -> None:
        gate = name.replace(" ", "-")
        self.timeline.point("phase-verdict", gate=gate, outcome=outcome.value, because=because)


class ThrowawayTarget(Target, CanLive, CanKill, Protocol):
    """What a verification asks of a target."""


def throwaway_target(options: VerifyOptions, file: StackFile, home: Home, run: Run) -> ThrowawayTarget:
    """A stack of its own for this run; it ends with this process, or is ended by the next verification."""
    stack = _stack(file, options)
    if options.target == "local":
        return LocalTarget(stack, home, owner=identify(os.getpid()))
    from holdfast.infra.targets.cluster.access import find_access
    from holdfast.infra.targets.cluster.throwaway import sweep, throwaway

    access = find_access()
    sweep(access)
    where = Where(target="cluster", environment="staging")

    def say(line: str) -> None:
        run.timeline.point("note", text=line)

    say(f"Pulumi runs {access.plugin}")
    return open_cluster(file, home, where, stack=throwaway(stack), say=say, timeline=run.timeline)


def _check(options: VerifyOptions) -> StackFile:
    """Refuse what cannot work before anything is started; returns the stack's file."""
    file = find_stack(options.stack, home_at(options.home))
    file.read()
    if options.plant and options.plant not in plants():
        raise UsageError(
            f"there is no plant {options.plant}", because=f"known: {', '.join(plants())}", way_out="name one of those"
        )
    if options.source and not (Path(options.source) / "release.yaml").is_file():
        raise Refused(
            f"{options.source} holds no release.yaml", because="a release is built from it", way_out="check --from"
        )
    return file


def _stack(file: StackFile, options: VerifyOptions) -> Stack:
    """The stack; a short run watches for a shorter time, still over its gates' least number of samples."""
    stack = file.read()
    if not options.short:
        return stack
    rules = msgspec.structs.replace(stack.release, watch_s=min(stack.release.watch_s, SHORT_WATCH_S))
    return msgspec.structs.replace(stack, release=rules)


def _tidy(home: Home) -> None:
    """Keep the evidence (logs, journal, routes); data and releases of the throw-away stack go."""
    from holdfast.infra.release import remove_releases

    remove_releases(home.releases)
    shutil.rmtree(home.data, ignore_errors=True)
    (home.state / "secrets.json").unlink(missing_ok=True)
