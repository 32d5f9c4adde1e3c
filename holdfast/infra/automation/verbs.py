"""The verbs: up, preview, refresh, down, and the repair of what was cut off. Each tells what happened to what."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import msgspec
from pulumi import automation
from pulumi.automation import errors

from holdfast.errors import EnvironmentFailed, HoldfastError, Interrupted, Refused
from holdfast.infra.automation import repair
from holdfast.infra.automation import settings as where
from holdfast.infra.automation.command import Command, pulumi_command
from holdfast.infra.automation.events import NO_CHANGE, Listener, Operation
from holdfast.infra.automation.ready import Wait
from holdfast.infra.automation.settings import PROJECT, Settings
from holdfast.infra.automation.spaces import spaces_of, wanted
from holdfast.infra.home import Home
from holdfast.infra.program import main as program
from holdfast.infra.program.assembly import manifests, sealed_names
from holdfast.infra.program.desired import Desired, first
from holdfast.infra.program.manifest import RELEASE_OWNS
from holdfast.infra.program.place import environment_of
from holdfast.infra.stack import Stack
from holdfast.timeline import Timeline

SHOWN = 5
Act = Callable[[automation.Stack, Listener], object]


NAMESPACE = "kubernetes:core/v1:Namespace"
DATA = (NAMESPACE, "kubernetes:core/v1:PersistentVolumeClaim")
"""Kinds that hold the stores' data: a claim goes with its namespace."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a verb did or would do: every object that was looked at, and how long it took. `repaired`: what was cut off
    before and has been put right."""

    verb: str
    stack: str
    operations: list[Operation]
    seconds: float
    repaired: list[str] = []

    @property
    def counts(self) -> dict[str, int]:
        """Operation (create, update, replace, delete, same…) → how many objects."""
        return dict(Counter(found.operation for found in self.operations))

    @property
    def changed(self) -> dict[str, str]:
        """Object → operation, with the fields that differ."""
        changed = [found for found in self.operations if found.operation not in NO_CHANGE]
        return {found.name: ": ".join([found.operation, *_joined(found.differs)]) for found in changed}

    @property
    def objects(self) -> list[str]:
        """The names of all objects."""
        return [found.name for found in self.operations]

    @property
    def none(self) -> bool:
        """Whether the cluster is as it should be."""
        return not self.changed


P = ParamSpec("P")
R = TypeVar("R")


def told(verb: Callable[P, R]) -> Callable[P, R]:
    """What Pulumi says beside an operation (it cannot open the state, or decrypt it) as a refusal with a way out."""

    @wraps(verb)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except errors.CommandError as error:
            raise _unopened(error) from error

    return inner


class Provisioner:
    """A stack's half on a cluster, in one environment."""

    def __init__(
        self,
        stack: Stack,
        home: Home,
        settings: Settings,
        *,
        timeline: Timeline | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        environment_of(stack, settings.environment)
        self.stack = stack
        self.home = home
        self.settings = settings
        self._timeline = timeline
        self._say = say
        self._opened: automation.Stack | None = None
        self._command: Command | None = None
        self._refused: HoldfastError | None = None
        self.name = f"{stack.name}-{settings.environment}"

    @property
    def desired(self) -> Desired:
        """The colors that should exist."""
        return self.settings.desired or first(self.stack)

    @told
    def up(self, *, refresh: bool = False, only: Sequence[str] = ()) -> Changes:
        """Make the cluster what the stack says. Raises Refused for a policy, a lock, or what the API server refuses.

        Then wait until it is ready, where the settings say so; that ends early with EnvironmentFailed when waiting
        cannot end. `only`: URNs, with * and **, of the objects that may change; all where none is named.
        """
        began = time.monotonic()
        repaired, targets, wait = self.repair(), list(only) or None, self._wait()
        if not only:
            wait.begin()

        def act(stack: automation.Stack, listen: Listener) -> object:
            return stack.up(on_event=listen, refresh=refresh, target=targets, color="never")

        changes = self._do("up", act, repaired)
        wait.make_anew()
        try:
            if self.settings.wait:
                wait.until_ready()
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"up of {self.name} was interrupted",
                because="everything was accepted; not everything was ready yet",
                way_out="holdfast up waits again; holdfast down takes away what was made",
            ) from error
        return msgspec.structs.replace(changes, seconds=time.monotonic() - began)

    @told
    def preview(self) -> Changes:
        """What `up` would do; nothing is changed."""
        return self._do("preview", lambda stack, listen: stack.preview(on_event=listen, color="never"))

    @told
    def refresh(self) -> Changes:
        """Look at the cluster: what somebody changed by hand is known afterwards, and named."""
        repaired = self.repair()
        return self._do("refresh", lambda stack, listen: stack.refresh(on_event=listen, color="never"), repaired)

    @told
    def down(self, *, data: bool = True) -> Changes:
        """Take away what `up` made. Without `data` the namespaces stay, and in them claims and what a release wrote."""
        repaired = self.repair()
        targets = None if data else self._without_data()

        def act(stack: automation.Stack, listen: Listener) -> object:
            return stack.destroy(on_event=listen, target=targets, color="never") if targets != [] else None

        return self._do("down", act, repaired)

    @told
    def forget(self, *, force: bool = False) -> None:
        """Forget the state and the secrets of a stack of which nothing is left; `force`: whatever the state says."""
        self._open().workspace.remove_stack(self.name, force=force)
        shutil.rmtree(where.folder(self.home) / self.name)
        self._opened = None

    @told
    def cancel(self) -> None:
        """End the lock on the state, whoever has it: for a person who knows that its holder is gone."""
        self._open().cancel()

    @told
    def repair(self) -> list[str]:
        """Put right what an `up` that was killed has left: a lost lock, operations without an end. Says what it did."""
        stack = self._open()
        said = [f"unlocked: {holder}" for holder in repair.release_lost_lock(stack, self._state(), self._timeline)]
        if found := repair.pending(stack):
            self._refresh_pending(stack)
            said += [f"{entry.op} of {entry.urn.rpartition('::')[2]} was cut off, and looked up" for entry in found]
        for line in said:
            self._say(line)
        return said

    @told
    def knows_nothing(self) -> bool:
        """Whether the state holds no object: nothing was ever up, or it was up from elsewhere."""
        return not any(entry["type"].startswith("kubernetes:") for entry in self._resources())

    def knows(self, name: str) -> bool:
        """Whether the state holds an object, by NAMESPACE/Kind/name."""
        return any(entry["urn"].endswith(f"::{name}") for entry in self._resources())

    def secrets(self) -> list[str]:
        """The names of the secrets that the stack needs; they are made at the first `up` and kept sealed by Pulumi."""
        return sealed_names(manifests(self.stack, self.settings.environment, self.desired))

    @told
    def outputs(self) -> dict[str, Any]:
        """The outputs of the last `up`."""
        return {key: output.value for key, output in self._open().outputs().items()}

    def _wait(self) -> Wait:
        spaces = spaces_of(self.stack, self.settings)
        return Wait(self.name, spaces, wanted(self.stack, self.settings.environment, self.desired), self._timeline)

    def _do(self, verb: str, act: Act, repaired: list[str] | None = None) -> Changes:
        listener, begin = Listener(self._timeline, planned=verb == "preview"), time.monotonic()
        self._refused = None
        stack = self._open()
        try:
            act(stack, listener)
        except errors.ConcurrentUpdateError as error:
            raise repair.locked(stack, _last_lines(str(error))) from error
        except errors.CommandError as error:
            raise self._failed(verb, error, listener) from error
        except KeyboardInterrupt as error:
            raise self._interrupted(verb, stack) from error
        return Changes(
            verb=verb,
            stack=self.name,
            operations=list(listener.operations.values()),
            seconds=time.monotonic() - begin,
            repaired=repaired or [],
        )

    def _interrupted(self, verb: str, stack: automation.Stack) -> Interrupted:
        """Pulumi has ended; a lock of one that had to be killed is ended too."""
        ended = "Pulumi ended what it was doing, wrote its state and gave its lock back"
        if self._command and self._command.killed:
            ended = "Pulumi was killed; what it was doing is looked up by the next command"
            if self._state() is None:
                stack.cancel()
            else:
                repair.release_lost_lock(stack, self._state(), self._timeline)
        return Interrupted(
            f"{verb} of {self.name} was interrupted",
            because=ended,
            way_out="the same command goes on from there; holdfast down takes away what was made",
        )

    def _without_data(self) -> list[str]:
        """The URNs of all objects but those that hold data, and what these need."""
        resources = self._resources()
        holding = [entry for entry in resources if _holds_data(entry)]
        whole = {entry.get("parent") for entry in holding if entry["type"] == NAMESPACE}  # closed, and within its quota
        kept = _needed(
            [entry["urn"] for entry in resources if entry in holding or entry.get("parent") in whole], resources
        )
        return [
            entry["urn"]
            for entry in resources
            if entry["urn"] not in kept and not entry["type"].startswith(("pulumi:pulumi:", "pulumi:providers:"))
        ]

    def _resources(self) -> list[dict[str, Any]]:
        return (self._open().export_stack().deployment or {}).get("resources") or []

    def _open(self) -> automation.Stack:
        """The stack in its workspace, with its secrets made and its configuration set."""
        if self._opened is None:
            folder = where.folder(self.home) / self.name
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            known = (folder / f"Pulumi.{self.name}.yaml").is_file()
            self._opened = self._created(folder)
            if not known and self._resources():  # another home made it: its secrets are those of the last deployment
                self._opened.refresh_config()
            self._configure(self._opened)
        return self._opened

    def _created(self, folder: Path) -> automation.Stack:
        backend = where.backend_url(self.settings, self.home)
        self._command = pulumi_command(folder.parent, self._say)
        project = automation.ProjectSettings(
            name=PROJECT, runtime="python", backend=automation.ProjectBackend(url=backend)
        )
        options = automation.LocalWorkspaceOptions(
            work_dir=str(folder),
            project_settings=project,
            secrets_provider=self.settings.secrets_provider,
            env_vars=where.environment(self.settings, self.home),
            pulumi_command=self._command,
        )
        return automation.create_or_select_stack(
            stack_name=self.name, project_name=PROJECT, program=self._program, opts=options
        )

    def _program(self) -> None:
        try:
            program.provision(self.stack, self.settings.environment, self.desired, wait=False)
        except HoldfastError as error:  # Pulumi makes a text of it
            self._refused = error
            raise

    def _configure(self, stack: automation.Stack) -> None:
        """Make each secret that the stack needs and does not have yet; Pulumi seals it."""
        wanted = self.secrets()
        kept = stack.get_all_config()
        missing = [name for name in wanted if f"{PROJECT}:{name}" not in kept]
        if missing:
            stack.set_all_config({name: automation.ConfigValue(value=generated(name), secret=True) for name in missing})

    def _refresh_pending(self, stack: automation.Stack) -> None:
        """Have Pulumi look up what was being made; what does not exist is forgotten."""
        listed = [item for pair in repair.ids(stack) for item in pair]
        flags = [f"--import-pending-creates={item}" for item in listed] or ["--clear-pending-creates"]
        workspace = stack.workspace
        workspace.pulumi_command.run(
            ["refresh", "--yes", "--skip-preview", "--color=never", *flags, "--stack", stack.name],
            str(workspace.work_dir),
            {**workspace.env_vars},
        )

    def _state(self) -> Path | None:
        url = where.backend_url(self.settings, self.home)
        return Path(url.removeprefix("file://")) if url.startswith("file://") else None

    def _failed(self, verb: str, error: errors.CommandError, listener: Listener) -> HoldfastError:
        """The error of the program where it is one of ours, else what Pulumi and the API server said."""
        if self._refused:
            return self._refused
        said = listener.failures[:SHOWN] or [_last_lines(str(error))]
        return EnvironmentFailed(
            f"{verb} of {self.name} failed",
            because="\n    ".join(said),
            way_out="correct what is named there, then run the same command again: it goes on from where it stopped",
        )


def generated(name: str) -> str:
    """A secret for a name; some kinds have a form of their own."""
    import base64
    import secrets

    if name.endswith("-gossip"):
        return base64.b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_urlsafe(32) if not name.endswith("-key") else secrets.token_hex(64)


def _holds_data(entry: dict[str, Any]) -> bool:
    """Whether a resource of Pulumi's state holds data: stores' claims, and routes, which a release writes."""
    notes = (entry.get("inputs", {}).get("metadata") or {}).get("annotations") or {}
    return entry["type"] in DATA or (entry["type"] == "kubernetes:core/v1:ConfigMap" and RELEASE_OWNS in notes)


def _needed(urns: list[str], resources: list[dict[str, Any]]) -> set[str]:
    """These resources and all that they depend on, as Pulumi's state has it."""
    needs = {entry["urn"]: [*entry.get("dependencies", []), entry.get("parent", "")] for entry in resources}
    found: set[str] = set()
    while urns:
        urn = urns.pop()
        if urn in needs and urn not in found:
            found.add(urn)
            urns += needs[urn]
    return found


def _joined(differs: list[str]) -> list[str]:
    return [", ".join(differs)] if differs else []


def _unopened(error: errors.CommandError) -> Refused:
    said = [line.removeprefix("error: ") for line in str(error).splitlines() if "error: " in line or "stderr" in line]
    because = said[-1].replace("stderr:", "").replace("error: ", "").strip() if said else _last_lines(str(error), 1)
    way_out = "see that --backend and --secrets-provider are those of the first up, and that they can be reached"
    if "passphrase" in because:
        way_out = "set PULUMI_CONFIG_PASSPHRASE to that of the home that made it (its pulumi/passphrase.json)"
    return Refused("Pulumi cannot work with the state of this stack", because=because, way_out=way_out)


def _last_lines(text: str, count: int = 12) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n    ".join(lines[-count:])
