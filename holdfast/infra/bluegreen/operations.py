"""What a person asks for: deploy, rollback, promote, abort, resume. Each takes the lock and ends what a kill left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import msgspec

from holdfast.errors import EnvironmentFailed, HoldfastError, Interrupted, Refused, UsageError
from holdfast.infra.bluegreen.context import Context, Plan, old_colors, opposite
from holdfast.infra.bluegreen.gradual import with_shares
from holdfast.infra.bluegreen.lock import locked, note, open_elsewhere
from holdfast.infra.bluegreen.page import said
from holdfast.infra.bluegreen.planning import Planner
from holdfast.infra.bluegreen.ports import Ports
from holdfast.infra.bluegreen.release import HOLD, RELEASE, RETIRE
from holdfast.infra.bluegreen.rollback import ROLLBACK, SWITCH_BACK
from holdfast.infra.bluegreen.standing import hold_end, plan_of
from holdfast.infra.bluegreen.steps import keep_serving, secure
from holdfast.infra.home import Home
from holdfast.infra.release import Release, check_release, read_release
from holdfast.infra.stack import Color, Stack
from holdfast.infra.target import CanDrift, Target
from holdfast.journal import Journal, Mark, Operation, Step, back, nothing, walk
from holdfast.timeline import Timeline

PROTOCOLS: dict[str, tuple[Step[Context], ...]] = {"deploy": RELEASE, "rollback": ROLLBACK}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How an operation ended: `done`, `holding` (until `hold_until`), `paused` (after `step`) or `already live`."""

    operation: str
    state: str
    version: str
    placement: dict[str, Color]
    step: str = ""
    hold_until: float | None = None


@dataclass
class Desk:
    """The release desk of one stack: everything an operation needs."""

    stack: Stack
    home: Home
    target: Target
    ports: Ports
    timeline: Timeline
    journal: Journal

    @property
    def planner(self) -> Planner:
        """Decides what a release moves, from what is live now."""
        return Planner(self.stack, self.target, self.ports.schema)

    # -- what a person asks for ------------------------------------------------------------------------------------

    def deploy(
        self,
        version: str,
        *,
        services: Sequence[str] = (),
        until: str | None = None,
        hold_s: float | None = None,
        shares: Sequence[int] = (),
    ) -> Result:
        """Release a version; `shares`: percents of the traffic that move before all of it does.

        Raises GateFailed or GateUnknown after everything was undone; Refused when nothing was done.
        """
        _check_step(until, with_shares(RELEASE, shares))
        with self._lock(f"holdfast deploy {version}"):
            release = read_release(version, self.home.releases)
            self._check(release, services, shares)  # before anything that is open is ended for this release
            resumed = self._clear_the_way(release, services, until)
            if resumed:
                return resumed
            plan = self.planner.plan(release, services, hold_s=hold_s, shares=shares)
            if not plan.placement:
                return Result(operation="", state="already live", version=version, placement={})
            self._refuse_drift()
            return self._run(self._begin("deploy", plan), until=until)

    def rollback(self) -> Result:
        """Bring the traffic back to the color it came from: one write, gated by nothing."""
        with self._lock("holdfast rollback"):
            operation = self.journal.open_operation()
            if operation is None:
                raise self._nothing_to_roll_back_to("no release is in its hold window")
            if operation.kind == "rollback":
                return self._run(operation)
            plan = plan_of(operation)
            old = old_colors(plan)
            self._refuse_without_way_back(operation)
            if operation.paused_at != HOLD:
                return self._undo(operation, "holdfast rollback")
            undo = Plan(
                version=plan.previous_version,
                digest="",
                placement=dict(old),
                origin=dict(plan.placement),
                sizes=plan.sizes,
                hold_s=plan.hold_s,
                previous_version=plan.version,
                closes=operation.name,
            )
            return self._run(self._begin("rollback", undo))

    def promote(self) -> Result:
        """End the hold window now: the old color is retired, and with it the way back."""
        with self._lock("holdfast promote"):
            operation = self.journal.open_operation()
            if operation is None or operation.paused_at != HOLD:
                raise Refused(
                    "there is nothing to promote",
                    because="no release is in its hold window",
                    way_out="see `holdfast status` and `holdfast history`",
                )
            return self._run(operation, promote=True)

    def abort(self, *, set_aside: bool = False) -> Result:
        """Undo the open operation. `set_aside`: put journal files that cannot be read aside first."""
        with self._lock("holdfast abort", take_over=set_aside):
            if set_aside:
                return self._set_aside()
            operation = self.journal.open_operation()
            if operation is None:
                raise Refused(
                    "there is nothing to abort", because="no operation is open", way_out="see `holdfast history`"
                )
            if operation.kind == "rollback":
                return self._run(operation)
            self._refuse_without_way_back(operation)
            return self._undo(operation, "holdfast abort")

    def resume(self) -> Result:
        """Go on with an operation that was paused or cut off by a kill; one that had turned back goes on back."""
        with self._lock("holdfast resume"):
            operation = self.journal.open_operation()
            if operation is None:
                raise Refused(
                    "there is nothing to resume", because="no operation is open", way_out="see `holdfast history`"
                )
            if operation.paused_at == HOLD and not self._hold_is_over(operation):
                return self._result(operation, "holding")
            return self._run(operation)

    def dry_run(
        self, version: str, services: Sequence[str] = (), shares: Sequence[int] = (), until: str | None = None
    ) -> list[tuple[str, str, str]]:
        """What `deploy` would do: each step with what it does and its undo. Checks what can be checked; acts never."""
        _check_step(until, with_shares(RELEASE, shares))
        self._check(read_release(version, self.home.releases), services, shares)
        return [
            (step.name, said(step.act.__doc__), "" if step.undo is nothing else said(step.undo.__doc__))
            for step in with_shares(RELEASE, shares)
        ]

    # -- inside ----------------------------------------------------------------------------------------------------

    def _lock(self, holder: str, *, take_over: bool = False) -> AbstractContextManager[int]:
        """The lock, under a token that is newer than that of the routes in force."""
        return locked(self.journal, self.target, holder, take_over=take_over)

    def _begin(self, kind: str, plan: Plan) -> Operation:
        operation = self.journal.begin(kind, msgspec.to_builtins(plan))
        note(self.target, operation)
        return operation

    def _refuse_drift(self) -> None:
        """A release starts from what the last one left; what somebody changed by hand is not overwritten silently."""
        found = self.target.drift() if isinstance(self.target, CanDrift) else []
        if found:
            raise Refused(
                "the routes were changed by hand",
                because="; ".join(found),
                way_out="put that back as it was (kubectl edit), then this again; `holdfast status` shows it too",
            )

    def _check(self, release: Release, services: Sequence[str], shares: Sequence[int]) -> None:
        """Raise Refused or UsageError for a release that could not be carried out; changes nothing."""
        check_release(release)
        self.planner.moving(release, services, shares=shares)
        tolerated = release.manifest.schema_range
        self.ports.schema.check(tolerated.oldest, tolerated.newest)

    def _clear_the_way(self, release: Release, services: Sequence[str], until: str | None) -> Result | None:
        """End an operation that is open. Returns a result when that was this very release, held or cut off."""
        operation = self.journal.open_operation()
        if operation is None:
            return None
        plan = plan_of(operation)
        if operation.paused_at == HOLD:
            if (
                plan.digest == release.digest
                and not self.planner.moving(release, services)
                and not self._hold_is_over(operation)
            ):
                return self._result(operation, "holding")
            self.timeline.point("note", text=f"the hold of {plan.version} ends: its old color's place is needed")
            self._run(operation, promote=True)
        elif operation.paused_at:
            raise Refused(
                f"release {plan.version} is paused after {operation.paused_at}",
                because="`--until` stopped it there",
                way_out="`holdfast resume` goes on with it, `holdfast abort` undoes it",
            )
        elif operation.kind == "rollback" or not self._has_way_back(operation):
            self._run(operation, promote=True)
        elif plan.digest == release.digest and not operation.turned_back:
            return self._run(operation, until=until)
        else:
            self._undo(operation, "it was cut off, and another release is asked for")
        return None

    def _run(self, operation: Operation, *, until: str | None = None, promote: bool = False) -> Result:
        """Walk on from where the journal says; on an error undo everything that was started."""
        context, steps = self._context(operation), _steps_of(operation)
        if operation.turned_back:
            return self._undo(operation, operation.because)
        if until is not None and operation.paused_at != until and _has_passed(operation, steps, until):
            raise UsageError(
                f"{context.label} is past {until}",
                because=f"it had come to {_last_done(operation)} when it was cut off",
                way_out="name a later step, or run `holdfast resume` or `holdfast abort`",
            )
        stop_after = until or (HOLD if not promote and self._holds(context) else None)
        try:
            complete = walk(steps, context, operation, until=stop_after, around=context.around)
        except KeyboardInterrupt:
            self._give_up(operation, "Ctrl-C")
            way_out = "run `holdfast resume`" if operation.outcome is None else "what was begun has been undone"
            raise Interrupted("interrupted", because="Ctrl-C", way_out=way_out) from None
        except Exception as error:  # whatever it is, a release must not stay half done because of it
            self._give_up(operation, _brief(error))
            raise
        if not complete:
            return self._result(operation, "holding" if operation.paused_at == HOLD else "paused")
        operation.finish("done")
        return self._result(operation, "done")

    def _has_way_back(self, operation: Operation) -> bool:
        """Whether the traffic can go back: always, until the old color is given an end; then while it still runs."""
        if operation.turned_back or not operation.started(HOLD):
            return True
        old = old_colors(plan_of(operation))
        return not operation.started(RETIRE) and (not old or self.target.running(old))

    def _refuse_without_way_back(self, operation: Operation) -> None:
        """Raise Refused where the traffic cannot go back; a release that was retiring the old color is completed."""
        if self._has_way_back(operation):
            return
        if operation.started(RETIRE):
            self._run(operation, promote=True)
        raise self._nothing_to_roll_back_to(f"the old color of {plan_of(operation).version} does not run any more")

    def _holds(self, context: Context) -> bool:
        """A release waits after its hold step until the window is over; a first release has nothing to hold."""
        operation, plan = context.operation, context.plan
        waits = operation.kind == "deploy" and plan.hold_s > 0 and bool(plan.origin)
        return waits and not operation.started("retire") and not self._hold_is_over(operation)

    def _give_up(self, operation: Operation, because: str) -> None:
        """Undo a release. A rollback that has not switched yet has changed nothing, and ends.

        What has no way back, a release that retires or a rollback that has switched, stays open: the next command
        goes on with it.
        """
        if operation.kind == "rollback":
            if not operation.started(SWITCH_BACK):
                operation.finish("refused", because=because)
            return
        if operation.started(RETIRE):
            return
        try:
            self._undo(operation, because)
        except Exception as error:
            raise EnvironmentFailed(
                f"release {plan_of(operation).version} failed, and could not be undone completely",
                because=f"{because}; then: {_brief(error)}",
                way_out="correct the cause, then run `holdfast abort`",
            ) from error

    def _undo(self, operation: Operation, because: str) -> Result:
        context = self._context(operation)
        old = old_colors(context.plan)
        if operation.started(HOLD) and not operation.turned_back and old and not secure(self.target, old):
            raise self._nothing_to_roll_back_to("the hold window has just ended, and with it the old color")
        context.timeline.point("note", text=f"undoing {context.label}: {because.splitlines()[0] if because else ''}")
        back(_steps_of(operation), context, operation, because=because, around=context.around)
        operation.finish("undone", because=because)
        return self._result(operation, "undone")

    def _context(self, operation: Operation) -> Context:
        plan = plan_of(operation)
        self.target.fence(self.journal.token)
        operation.fence(self.journal.token)
        return Context(
            plan=plan,
            releases=self.home.releases,
            stack=self.stack,
            target=self.target,
            ports=self.ports,
            timeline=self.timeline,
            journal=self.journal,
            operation=operation,
        )

    def _result(self, operation: Operation, state: str) -> Result:
        plan = plan_of(operation)
        return Result(
            operation=operation.name,
            state=state,
            version=plan.version,
            placement=plan.placement,
            step=operation.paused_at or "",
            hold_until=hold_end(operation) if state == "holding" else None,
        )

    def _hold_is_over(self, operation: Operation) -> bool:
        until = hold_end(operation)
        return until is not None and until <= time.time()

    def _set_aside(self) -> Result:
        """Give all traffic to the color that has most of it, stop the other, and start a fresh journal."""
        aside, elsewhere = self.journal.set_corrupt_aside(), open_elsewhere(self.target)
        if not aside and not elsewhere:
            raise Refused(
                "there is nothing to set aside",
                because="every file of the journal can be read, and no operation is open in another home",
                way_out="`holdfast abort` undoes what is open",
            )
        table, live = self.target.live(), self.planner.live()
        self.target.fence(self.journal.token)
        self.target.route(table.moved(live, self.journal.token))
        for name in self.stack.services:
            idle: list[Color] = [opposite(live[name])] if name in live else ["blue", "green"]
            for one in idle:
                self.target.stop({name: one})
        keep_serving(self.target, live)
        put = [path.name for path in aside] + ([elsewhere] if elsewhere else [])
        self.timeline.point("note", text=f"set aside: {', '.join(put)}")
        return Result(operation="", state="set aside", version="", placement={})

    def _nothing_to_roll_back_to(self, because: str) -> Refused:
        known = [operation for operation in self.journal.operations() if operation.kind == "deploy"]
        last = plan_of(known[-1]).previous_version if known else ""
        way = f"holdfast deploy {last} brings that version back as a release" if last else "see `holdfast history`"
        return Refused("there is nothing to roll back to", because=because, way_out=way)


def _check_step(until: str | None, steps: Sequence[Step[Context]]) -> None:
    names = [step.name for step in steps]
    if until is not None and until not in names:
        raise UsageError(
            f"there is no step {until}", because=f"the steps are {', '.join(names)}", way_out="name one of those"
        )


def _last_done(operation: Operation) -> str:
    done = [line.step for line in operation.lines if line.mark is Mark.DONE]
    return done[-1] if done else "its beginning"


def _has_passed(operation: Operation, steps: Sequence[Step[Context]], until: str) -> bool:
    """Whether a step after `until` has begun."""
    names = [step.name for step in steps]
    return any(operation.started(name) for name in names[names.index(until) + 1 :])


def _brief(error: Exception) -> str:
    """What happened and why, on one line."""
    parts = (error.what, error.because) if isinstance(error, HoldfastError) else (str(error) or type(error).__name__,)
    return ": ".join(part.splitlines()[0] for part in parts if part)


def _steps_of(operation: Operation) -> tuple[Step[Context], ...]:
    return with_shares(PROTOCOLS[operation.kind], plan_of(operation).shares)
