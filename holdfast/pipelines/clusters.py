"""up, preview, refresh, down on a cluster: the commands, as functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from holdfast.errors import Refused, UsageError
from holdfast.infra.automation import settings as pulumi
from holdfast.infra.automation.events import Operation
from holdfast.infra.automation.images import ImageState, settle
from holdfast.infra.automation.ready import until_gone
from holdfast.infra.automation.settings import Settings
from holdfast.infra.automation.spaces import Space, namespaces_of, refuse_unreachable, spaces_of, wanted
from holdfast.infra.automation.verbs import Changes, Provisioner
from holdfast.infra.home import Home, home_at
from holdfast.infra.program.desired import Desired
from holdfast.infra.program.place import cluster_of, place_of
from holdfast.infra.stack import Stack
from holdfast.infra.targets.cluster.access import Access, find_access
from holdfast.infra.targets.cluster.api import Api
from holdfast.infra.targets.cluster.colors import read_colors
from holdfast.infra.targets.cluster.lease import Lease
from holdfast.infra.targets.kept import Where, keep_where, kept_where
from holdfast.journal import Journal
from holdfast.pipelines.asked import Asked
from holdfast.pipelines.compose import StackFile, find_stack, keep_stack
from holdfast.pipelines.progress import Progress
from holdfast.pipelines.reports import judge_release, write_run_report
from holdfast.pipelines.stacks import forget
from holdfast.run import open_run
from holdfast.timeline import Timeline

SETTLE_S = 20.0
"""How long an `up` that does not wait looks what becomes of the images."""


class Provisioned(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did, or would do, on a cluster. `operations`: every object, also those that are left as they are.

    `plugin`: which of Pulumi's plugins for Kubernetes ran. `images`: what became of them, where nobody waited.
    `waits_for_release`: no color is there yet. `run`, `report`: the evidence; a preview leaves none.
    """

    verb: str
    stack: str
    environment: str
    plugin: str
    namespaces: list[str]
    operations: list[Operation]
    counts: dict[str, int]
    seconds: float
    repaired: list[str]
    images: list[ImageState] = []
    waits_for_release: bool = False
    run: str = ""
    report: str = ""


def bring_up(asked: Asked, *, wait: bool = True, refresh: bool = False, settle_s: float = SETTLE_S) -> Provisioned:
    """Have the cluster run the stack, with the colors that a release has put there, and wait until it is ready.

    `refresh`: look first what somebody changed by hand. Without `wait` it is over when the API server has accepted
    everything, and looks `settle_s` seconds at most what becomes of the images. The home remembers stack and place.
    """
    where = asked.where()
    _refuse_another(asked, where)
    job = _open(asked, where)
    with job.locked("holdfast up"), job.remembered():
        return job.recorded("up", lambda provisioner: _up(job, provisioner, refresh, settle_s), wait=wait)


def preview(asked: Asked) -> Provisioned:
    """What `up` would do to every object; nothing is changed, and a home without this stack is left as it is."""
    job = _open(asked, _on_cluster(asked.where(looking=True), "preview"))
    with TemporaryDirectory(prefix="holdfast-") as folder, Progress(quiet=asked.quiet) as progress:
        timeline = Timeline(Path(folder) / "timeline.jsonl", listeners=(progress,))
        home = job.home if job.known() else home_at(folder)
        provisioner = job.provisioner(timeline, home=home)
        timeline.point("note", text=job.plugin_line())
        return job.told(provisioner.preview())


def refresh(asked: Asked) -> Provisioned:
    """Look at every object: what somebody changed by hand is named, and Pulumi knows it afterwards."""
    job = _open(asked, _on_cluster(asked.where(), "refresh"))
    return job.recorded("refresh", lambda provisioner: job.told(provisioner.refresh()))


def take_down(asked: Asked, *, data: bool = False, gone: bool = False) -> Provisioned:
    """Take the stack off the cluster. Its data stay: volumes, secrets, and what a release has put there.

    `data`: these go too, with the namespaces and with all that the home knows of the stack but releases and evidence.
    `gone`: the cluster does not exist any more, so it is not asked. Raises Refused while a release is going on.
    """
    where = asked.where()
    if gone:
        return _forget_gone(asked, where)
    job = _open(asked, where)
    if not job.known():
        return job.told(Changes(verb="down", stack=job.name, operations=[], seconds=0.0))
    with job.locked("holdfast down"):
        done = job.recorded("down", lambda provisioner: _down(job, provisioner, data=data))
    keep_where(msgspec.structs.replace(where, up=False), job.home)
    if data:
        forget(job.home)
    return done


def _up(job: Job, provisioner: Provisioner, refresh: bool, settle_s: float) -> Provisioned:
    there = job.exists()
    if there and provisioner.knows_nothing():
        raise _of_another(job)
    lost = not there and job.where.up  # somebody has taken the namespace away, or it is another cluster
    changes = provisioner.up(refresh=refresh or lost)
    asked = wanted(job.stack, job.where.environment, job.desired)
    images = [] if provisioner.settings.wait else settle(job.spaces(), asked, settle_s)
    return msgspec.structs.replace(job.told(changes), images=images, waits_for_release=not job.desired.colors)


def _refuse_another(asked: Asked, where: Where) -> None:
    """One home, one stack: its journal and its releases are of that stack."""
    if asked.stack is None or not where.up:
        return
    home = home_at(asked.home)
    known, wanted_now = find_stack(None, home).read().name, find_stack(asked.stack, home).read().name
    if known != wanted_now:
        raise Refused(
            f"the home {home.root} has another stack up",
            because=f"it has {known}, and {wanted_now} was asked for",
            way_out="use another home (--home DIR), or take down what is up there: holdfast down",
        )


def _of_another(job: Job) -> Refused:
    namespace, home = job.place.namespace, job.home.root
    return Refused(
        f"the namespace {namespace} is there already, and not from here",
        because=f"Pulumi's state in {job.where.backend or home} does not have it: another home or backend made it",
        way_out=f"use that one (--home DIR, --backend URL), or remove it with its data: kubectl delete ns {namespace}",
    )


def _down(job: Job, provisioner: Provisioner, *, data: bool) -> Provisioned:
    changes = provisioner.down(data=data)
    until_gone(job.spaces())
    if data:
        provisioner.forget()
    return job.told(changes)


def _forget_gone(asked: Asked, where: Where) -> Provisioned:
    """Forget a stack whose cluster is gone: Pulumi's state of it and what the home knows, but releases and evidence."""
    home = home_at(asked.home)
    job = Job(asked, where, home, find_stack(asked.stack, home), Access(kubeconfig=""))
    if job.known():
        with Journal(home.make().journal).lock("holdfast down --gone"):
            Provisioner(job.stack, home, job.settings()).forget(force=True)
            forget(home)
    return job.told(Changes(verb="down", stack=job.name, operations=[], seconds=0.0))


def _on_cluster(where: Where, verb: str) -> Where:
    if where.target == "cluster":
        return where
    raise UsageError(
        f"{verb} is for a cluster",
        because="the stack of this home is on this machine, where `holdfast status` tells how it is",
        way_out=f"holdfast {verb} --target cluster",
    )


class Job:
    """One command on one environment of a stack: what it needs to know, its locks, and its record."""

    def __init__(self, asked: Asked, where: Where, home: Home, file: StackFile, access: Access) -> None:
        self.asked = asked
        self.where = where
        self.home = home
        self.file = file
        self.access = access
        self.stack: Stack = file.read()
        self.place = place_of(self.stack, where.environment, where.region)
        self.desired = Desired()

    @cached_property
    def api(self) -> Api:
        """The API server of the region, in the stack's own namespace."""
        context = cluster_of(self.stack).regions[self.where.region].context
        return Api(self.access.kubeconfig, self.place.namespace, context=context)

    @property
    def name(self) -> str:
        """sparkle-dev, as Pulumi has it."""
        return f"{self.stack.name}-{self.where.environment}"

    def known(self) -> bool:
        """Whether this home has had the stack up there, or the state is somewhere else and may know it."""
        return bool(self.where.backend) or (pulumi.folder(self.home) / self.name).is_dir()

    def exists(self) -> bool:
        """Whether its namespace is there."""
        return self.api.find("Namespace", self.place.namespace) is not None

    def settings(self, *, wait: bool = False) -> Settings:
        """How Pulumi manages it."""
        return Settings(
            environment=self.where.environment,
            backend=self.where.backend,
            secrets_provider=self.where.secrets_provider,
            kubeconfig=self.access.kubeconfig,
            plugins=self.access.plugins,
            wait=wait,
            desired=self.desired,
        )

    def provisioner(self, timeline: Timeline, *, home: Home | None = None, wait: bool = False) -> Provisioner:
        """Pulumi's hold on it."""
        made = Provisioner(
            self.stack,
            home or self.home,
            self.settings(wait=wait),
            timeline=timeline,
            say=lambda line: _note(timeline, line),
        )
        if self.asked.cancel:
            made.cancel()
        return made

    def spaces(self) -> list[Space]:
        """Its namespaces."""
        return spaces_of(self.stack, self.settings())

    def plugin_line(self) -> str:
        """For progress and for the record."""
        return f"Pulumi talks to Kubernetes by {self.access.plugin}"

    def told(self, changes: Changes) -> Provisioned:
        """What a verb of Pulumi said."""
        return Provisioned(
            verb=changes.verb,
            stack=self.stack.name,
            environment=self.where.environment,
            plugin=self.access.plugin,
            namespaces=list(namespaces_of(self.stack, self.where.environment)),
            operations=changes.operations,
            counts=changes.counts,
            seconds=changes.seconds,
            repaired=changes.repaired,
        )

    def recorded(self, verb: str, act: Callable[[Provisioner], Provisioned], *, wait: bool = False) -> Provisioned:
        """Do it as a run of its own, with a report whether it ends well or not."""
        command = f"{verb} --target cluster --env {self.where.environment}"
        run = open_run(self.home.make().runs, command=command, stack=self.stack.name)
        report = ""
        try:
            with Progress(quiet=self.asked.quiet) as progress:
                run.timeline.listen(progress)
                _note(run.timeline, self.plugin_line())
                with run.timeline.span("step", op=verb, step=self.name):
                    done = act(self.provisioner(run.timeline, wait=wait))
        finally:
            run.close()
            report = str(write_run_report(run.path, judge_release))
        return msgspec.structs.replace(done, run=run.id, report=report)

    @contextmanager
    def locked(self, holder: str) -> Iterator[None]:
        """Hold the release's locks: that of this home, and that of the cluster where the stack is there already."""
        on_cluster = Lease(self.api).held(holder) if self.exists() else nullcontext(0)
        with Journal(self.home.make().journal).lock(holder), on_cluster:
            yield

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Have the home remember stack and place from before the first change; a refusal has changed nothing."""
        before = kept_where(self.home)
        keep_stack(self.file, self.home)
        keep_where(msgspec.structs.replace(self.where, up=True), self.home)
        try:
            yield
        except Refused:
            keep_where(before or msgspec.structs.replace(self.where, up=False), self.home)
            raise


def _note(timeline: Timeline, text: str) -> None:
    timeline.point("note", text=text)


def _open(asked: Asked, where: Where) -> Job:
    home = home_at(asked.home)
    job = Job(asked, where, home, find_stack(asked.stack, home), find_access())
    refuse_unreachable(job.api, where.up)
    job.desired = read_colors(job.api, job.stack)
    return job
