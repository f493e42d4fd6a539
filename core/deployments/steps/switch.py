"""The switch: one act moves the alias from blue to green; the undo moves it back."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from qdrant_rollouts.core.collections import aliases, readiness
from qdrant_rollouts.core.collections.aliases import Moved
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import (
    DeploymentView,
    Done,
    Hold,
    Outcome,
    Reject,
    StepContext,
    Wait,
)
from qdrant_rollouts.core.deployments.steps import (
    comparing,
    fence,
    foreign_writes,
    journaled,
    limiting,
    unjournaled,
)
from qdrant_rollouts.core.deployments.steps.data import (
    CaughtUp,
    RoundState,
    Switched,
    SwitchState,
)
from qdrant_rollouts.core.deployments.steps.followers import Follower
from qdrant_rollouts.core.deployments.steps.gate import why_gate_shut
from qdrant_rollouts.core.deployments.steps.journaled import Work
from qdrant_rollouts.core.deployments.steps.version_notes import note_facts, served_facts
from qdrant_rollouts.core.deployments.steps.writers import tell_faster
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.journal import rebuilding
from qdrant_rollouts.core.journal.fences import Fenced
from qdrant_rollouts.core.routing import table

_READY_AGAIN = 2.0
#: So many fences that took too long show that writers are faster. Seconds between two of them.
_MOST_FENCES = 5
_AGAIN_AFTER_FENCE = 5.0
_AGAIN_WHEN_SLOWER = 30.0
#: An accepted fence may take so many times as long as the last comparison, but not longer than a
#: turn can hold its lease.
_SLOWER = 3.0
_LONGEST_FENCE = 60.0
#: Users wait for a rollback, so writes are carried back for so many seconds at most.
_LONGEST_WAY_BACK = 60.0
#: A write without an answer can be read after a minute and a quarter.
_LONGEST_JOURNAL_BACK = 100.0
_AGAIN_WAY_BACK = 1.0
_WITH_WRITES = "with what was written meanwhile"


def switch_to_green(context: StepContext) -> Outcome:
    """Moves the alias to green. Safe to run twice: if the alias is on green already, it stays
    there, and the recorded intent is completed."""
    deployment = context.deployment
    if journaled.find_decided(context) == deployment.green:
        return _finish_by_journal(context)
    closed = why_gate_shut(context)
    if closed:
        return Reject(closed)
    if context.services.store.aliases().get(deployment.alias) == deployment.green:
        moved = _move_to_green(context)
        held = context.load(SwitchState).held
        return _finish_switch(context, moved, _leave_behind(context, deployment.green), held=held)
    missing = _check_green_ready(context)
    if missing:
        return missing
    barred = limiting.apply_strict_mode(context)
    if barred:
        return Reject(f"{barred}; nothing was switched")
    return foreign_writes.look_before_switch(context) or _switch_by_way(context)


def _switch_by_way(context: StepContext) -> Outcome:
    if journaled.uses_journal(context):
        return _switch_by_journal(context)
    # Writers still follow the last deployment, if that had a journal.
    rebuilding.leave_journal(context.services, context.deployment.alias)
    if _needs_fence(context):
        return _switch_behind_fence(context)
    return _finish_switch(context, _move_to_green(context))


def _needs_fence(context: StepContext) -> bool:
    """Returns whether both collections must be equal at the moment of the switch."""
    writes = context.deployment.spec.writes
    if writes.way != "compare" or writes.if_longer == "heal":
        return False
    caught_up = context.outputs.find(CaughtUp)
    return caught_up is not None and not caught_up.gave_up


def _switch_behind_fence(context: StepContext) -> Outcome:
    """Switches while blue refuses writes, or lets writes in again if that takes too long. Another
    comparison right before leaves little to do in that time."""
    state = context.load(SwitchState)
    follower = comparing.open_follower(context)
    if not state.near:
        return _come_near(context, follower, state)
    seconds = _longest_fence(context)
    moved: list[Moved] = []

    def move_alias(current: RoundState, check: Callable[[float], None]) -> None:
        context.save(replace(state, leader=current.leader))
        moved.append(_move_to_green(context, check))

    passed = fence.pass_fence(context, follower, seconds, move_alias)
    if passed.moved:
        return _finish_switch(
            context,
            moved[0],
            f"writes were refused for {passed.held:.2f} s",
            held=passed.held,
            leader=passed.round.leader,
        )
    return _drop_fence(
        context,
        state,
        f"writes were refused for {passed.held:.1f} s and let in again: in that time "
        f"{passed.round.checked:,} points were compared, and fence_seconds allows {seconds:g} s",
    )


def _drop_fence(
    context: StepContext, state: SwitchState, told: str, *, closed: bool = True
) -> Outcome:
    """Waits for another try. ``closed``: writers waited, and that took too long; otherwise the
    fence was not entered."""
    dropped = state.dropped + 1
    context.save(replace(state, dropped=dropped, near=False))
    if dropped < _MOST_FENCES:
        return Wait(_AGAIN_AFTER_FENCE, f"{told}; try {dropped + 1} follows")
    cause = "the switch was tried"
    if closed:
        tell_faster(context, f"{dropped} times {told}")
        cause = "writers are faster than the rebuild"
    return Wait(
        _AGAIN_WHEN_SLOWER, f"{cause}, {dropped} times: {told}; {context.patience}", progress=False
    )


# --- by the journal -------------------------------------------------------------------------------


def _switch_by_journal(context: StepContext) -> Outcome:
    """Switches behind the journal's fence. Without one, if nobody may wait for it, the journal
    ends, and what did not reach green is listed."""
    caught_up = context.outputs.find(CaughtUp)
    if caught_up is None or caught_up.gave_up:
        moved = _move_to_green(context)
        return _finish_switch(context, moved, _leave_behind(context, context.deployment.green))
    waits = journaled.claim_rounds(context)
    if waits is not None:
        return waits
    work = journaled.open_forward(context)
    state = context.load(SwitchState)
    if context.attempt > 1 and (state.look is None or state.look.position is not None):
        return _look_again(context, work, state)
    return _close_and_switch(context, work, state)


def _close_and_switch(context: StepContext, work: Work, state: SwitchState) -> Outcome:
    accepted = _accepts_foreign(context, state)
    differing = ""

    def check() -> str:
        nonlocal differing
        differing = journaled.compare_counts(context, work)
        return "" if accepted else differing

    fenced = journaled.close_writes(context, work, check)
    if fenced.decided:
        context.save(replace(state, held=fenced.seconds))
        return _finish_by_journal(context, fenced.seconds, differing)
    if differing:
        context.save(replace(state, look=None))
        return Hold(
            f"somebody wrote around the journal after both collections were compared: {differing}; "
            "retry compares them again, promote switches without what was written"
        )
    told = f"writes were let in again after {fenced.seconds:.2f} s: {fenced.why_not}"
    return _drop_fence(context, state, told, closed=fenced.seconds > 0)


def _accepts_foreign(context: StepContext, state: SwitchState) -> bool:
    """Returns whether writes around the journal hold nobody up: the index file or a person has said
    so, or somebody goes back to an older version."""
    caught_up = context.outputs.get(CaughtUp)
    asked = context.deployment.spec.writes.refuses_foreign and caught_up.way is not None
    return not asked or bool(state.approved_by or caught_up.approved_by)


def _leave_behind(context: StepContext, leader: str | None) -> str:
    """Ends the journal after the alias was moved to ``leader`` without a fence. Returns what stays
    behind, in words, also if it is called again."""
    services = context.services
    alias = context.deployment.alias
    state = context.load(SwitchState)
    left = journaled.describe_left(services, alias, leader)
    if left:
        context.save(replace(state, left=left))
    journaled.leave_leader(services, alias, leader)
    return left or state.left


def _look_again(context: StepContext, work: Work, state: SwitchState) -> Outcome:
    ends = time.monotonic() + context.services.times.slice
    look, _, _ = unjournaled.look_on(
        context, work, state.look or RoundState(), lambda: time.monotonic() < ends
    )
    context.save(replace(state, look=look), progress=True)
    return Wait(0, f"{look.checked:,} points compared again, {look.made:,} brought over")


def _finish_by_journal(
    context: StepContext, held: float | None = None, differing: str = ""
) -> Outcome:
    """The switch is decided. If somebody has moved the alias elsewhere meanwhile, writes are let in
    all the same."""
    try:
        moved = _move_to_green(context)
    except Refused:
        journaled.finish_switch(context, context.deployment.green)
        raise
    journaled.finish_switch(context, context.deployment.green)
    seconds = context.load(SwitchState).held if held is None else held
    told = f"writes waited for {seconds:.2f} s"
    if differing:
        told = f"{told}; somebody wrote around the journal: {differing}"
    return _finish_switch(context, moved, told, held=seconds)


# --- both -----------------------------------------------------------------------------------------


def _come_near(context: StepContext, follower: Follower, state: SwitchState) -> Outcome:
    ends = time.monotonic() + context.services.times.slice
    current, more = comparing.compare_piece(
        comparing.in_turn(context, follower),
        state.ahead or RoundState(),
        lambda: time.monotonic() < ends,
    )
    context.save(replace(state, ahead=current if more else None, near=not more), progress=True)
    return Wait(0, f"{current.checked:,} points compared before writes are refused")


def _longest_fence(context: StepContext) -> float:
    """Returns for how long writes may be refused. A person who promoted a longer comparison has
    accepted that it takes about as long again."""
    allowed = context.deployment.spec.writes.fence_seconds
    caught_up = context.outputs.get(CaughtUp)
    if caught_up.approved_by is None or caught_up.fence is None:
        return allowed
    return min(max(allowed, _SLOWER * caught_up.fence), _LONGEST_FENCE)


def _move_to_green(context: StepContext, check: Callable[[float], None] | None = None) -> Moved:
    deployment = context.deployment
    return aliases.move_alias(
        context.services,
        deployment.alias,
        deployment.green,
        expected={deployment.blue},
        actor="system",
        deployment_id=deployment.id,
        check=check or context.turn.check,
    )


def _finish_switch(
    context: StepContext,
    moved: Moved,
    note: str = "",
    *,
    held: float = 0.0,
    leader: str | None = None,
) -> Outcome:
    deployment = context.deployment
    _clear_own_route(context)
    note_facts(context, served_facts(context))
    state = context.load(SwitchState)
    told = ""
    if state.foreign is not None:
        told = foreign_writes.describe_writes(deployment.blue, state.foreign)
    return Done(
        Switched(
            summary="; ".join(filter(None, (_summarize_switch(deployment), note, told))),
            came_from=deployment.blue,
            moved=moved.moved,
            held=held,
            leader=state.leader if leader is None else leader,
            foreign=state.foreign,
            blue_sample=foreign_writes.sample_again(context),
            approved_by=state.approved_by,
            approved_because=state.approved_because,
        )
    )


def switch_to_blue(context: StepContext) -> Outcome:
    """Moves the alias back to blue if it is on green. If somebody has moved it elsewhere, it stays
    there."""
    deployment = context.deployment
    services = context.services
    decided = journaled.find_decided(context)
    if decided == deployment.green:  # there is no way back before that
        with suppress(Refused):
            _finish_by_journal(context)
    if decided == deployment.blue:
        return _finish_way_back(context, _WITH_WRITES)
    found = services.store.aliases().get(deployment.alias)
    if found != deployment.green:
        said = f"{deployment.alias} is on {found}, not on {deployment.green}; left there"
        left = _leave_behind(context, deployment.blue)
        return Done(StepOutput(summary="; ".join(filter(None, [said, left]))))
    if deployment.blue and deployment.blue not in services.store.collections():
        return Reject(f"{deployment.blue} is gone, {deployment.alias} stays on {deployment.green}")
    if not _carries_back(context):
        return _finish_way_back(context, "")
    carry_back = _carry_back_by_journal if journaled.uses_journal(context) else _carry_back
    try:
        return carry_back(context)
    except (Refused, Unavailable) as error:
        return _finish_way_back(
            context, f"what was written to {deployment.green} stays there: {error}"
        )


def _carries_back(context: StepContext) -> bool:
    """Returns whether blue gets what was written to green before the alias returns to it. A
    collection that is broken is left at once."""
    if not context.deployment.spec.writes.leads_live or context.deployment.blue is None:
        return False
    failure = readiness.find_failure(context.services.store, context.deployment.green)
    return not readiness.why_unable_to_serve(context.deployment.green, failure)


def _carry_back(context: StepContext) -> Outcome:
    """Brings to blue what was written to green, and then switches back behind a fence."""
    state = context.load(SwitchState)
    follower = comparing.open_way_back(context)
    if state.back is None or state.back.position is not None:
        ends = time.monotonic() + context.services.times.slice
        current, more = comparing.compare_piece(
            comparing.in_turn(context, follower),
            state.back or RoundState(),
            lambda: time.monotonic() < ends,
        )
        context.save(replace(state, back=current), progress=True)
        if more and current.seconds < _LONGEST_WAY_BACK:
            return Wait(0, f"{current.checked:,} points compared, {current.made:,} brought back")
    passed = fence.pass_fence(
        context,
        follower,
        context.deployment.spec.writes.fence_seconds,
        lambda current, check: _move_to_blue(context, check),
    )
    if passed.moved:
        return _finish_way_back(context, _WITH_WRITES)
    return _finish_way_back(context, "what was written last may have stayed behind")


def _carry_back_by_journal(context: StepContext) -> Outcome:
    """Brings over what blue does not have yet, and switches back behind the journal's fence."""
    waits = journaled.claim_rounds(context)
    if waits is not None:
        return waits
    work = journaled.open_backward(context, context.turn)
    try:
        fenced = journaled.close_writes(context, work)
    except Unavailable as error:
        fenced = Fenced(str(error))
    if fenced.decided:
        return _finish_way_back(context, _WITH_WRITES)
    if context.waited < _LONGEST_JOURNAL_BACK:
        return Wait(_AGAIN_WAY_BACK, fenced.why_not, progress=False)
    return _finish_way_back(context, fenced.why_not)


def _finish_way_back(context: StepContext, note: str) -> Outcome:
    """Moves the alias to blue. Writes follow it: behind the fence if the journal has decided that,
    else what did not reach blue is listed."""
    deployment = context.deployment
    decided = journaled.find_decided(context)
    try:
        _move_to_blue(context, context.turn.check)
    except Refused as error:  # somebody has moved the alias, or blue is gone
        if decided is None:
            raise
        rebuilding.leave_journal(context.services, deployment.alias, decided=True)
        return Done(StepOutput(summary=f"{deployment.alias} was left where it is: {error}"))
    words = [f"{deployment.alias} is back on {deployment.blue}", note]
    if decided is not None and decided == deployment.blue:
        words[1] = _WITH_WRITES
        journaled.finish_switch(context, decided)
    else:
        words.append(_leave_behind(context, deployment.blue))
    return Done(StepOutput(summary="; ".join(filter(None, words))))


def _move_to_blue(context: StepContext, check: Callable[[float], None]) -> None:
    deployment = context.deployment
    aliases.move_alias(
        context.services,
        deployment.alias,
        deployment.blue,
        expected={deployment.green},
        actor="system",
        deployment_id=deployment.id,
        check=check,
    )


def _clear_own_route(context: StepContext) -> None:
    """Clears the canary's route, because the alias itself leads to green now."""
    deployment = context.deployment
    services = context.services
    if table.current_route(services, deployment.alias).deployment_id == deployment.id:
        table.clear_route(services, deployment.alias, fence=context.turn.fence)


def _summarize_switch(deployment: DeploymentView) -> str:
    came_from = ""
    if deployment.blue:
        came_from = f", was on {deployment.blue}"
    return f"{deployment.alias} is on {deployment.green}{came_from}"


def _check_green_ready(context: StepContext) -> Outcome | None:
    """Returns why the switch must wait or be rejected, or None. Green must exist and be ready at
    this moment, whatever earlier steps have found."""
    store = context.services.store
    green = context.deployment.green
    look = readiness.GONE
    if green in store.collections():
        look = aliases.inspect_and_wake(context.services, green)
    barred = readiness.why_unable_to_serve(green, look)
    if barred:
        return Reject(f"{barred}; nothing was switched")
    if look.ready:
        return None
    said = f"{green} is not ready: {look.reason}"
    if look.failing:
        said += f"; the server is asked to try again, {context.patience}"
    return Wait(_READY_AGAIN, said, progress=False)
