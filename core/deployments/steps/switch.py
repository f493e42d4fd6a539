"""The switch: one act moves the alias from blue to green; the undo moves it back."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from qdrant_rollouts.core.collections import aliases, readiness
from qdrant_rollouts.core.collections.aliases import Moved
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import (
    comparing,
    fence,
    foreign_writes,
    journaled,
    limiting,
)
from qdrant_rollouts.core.deployments.steps.data import CaughtUp, RoundState, SwitchState
from qdrant_rollouts.core.deployments.steps.followers import Follower
from qdrant_rollouts.core.deployments.steps.gate import why_gate_shut
from qdrant_rollouts.core.deployments.steps.pieces import limit_to_turn
from qdrant_rollouts.core.deployments.steps.switch_journal import (
    carry_back_by_journal,
    finish_by_journal,
    switch_by_journal,
)
from qdrant_rollouts.core.deployments.steps.switch_moves import (
    WITH_WRITES,
    complete_switch,
    complete_way_back,
    drop_fence,
    leave_behind,
    move_to_blue,
    move_to_green,
)
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.journal import rebuilding

_READY_AGAIN = 2.0
#: An accepted fence may take so many times as long as the last comparison, but not longer than a
#: turn can hold its lease.
_SLOWER = 3.0
_LONGEST_FENCE = 60.0
#: Users wait for a rollback, so writes are carried back for so many seconds at most.
_LONGEST_WAY_BACK = 60.0


def switch_to_green(context: StepContext) -> Outcome:
    """Moves the alias to green. Safe to run twice: if the alias is on green already, it stays
    there, and the recorded intent is completed."""
    deployment = context.deployment
    if journaled.find_decided(context) == deployment.green:
        return finish_by_journal(context)
    closed = why_gate_shut(context)
    if closed:
        return Reject(closed)
    if context.services.store.aliases().get(deployment.alias) == deployment.green:
        moved = move_to_green(context)
        held = context.load(SwitchState).held
        return complete_switch(context, moved, leave_behind(context, deployment.green), held=held)
    missing = _check_green_ready(context)
    if missing:
        return missing
    barred = limiting.apply_strict_mode(context)
    if barred:
        return Reject(f"{barred}; nothing was switched")
    return foreign_writes.look_before_switch(context) or _switch_by_way(context)


def _switch_by_way(context: StepContext) -> Outcome:
    if journaled.uses_journal(context):
        return switch_by_journal(context)
    # Writers still follow the last deployment, if that had a journal.
    rebuilding.leave_journal(context.services, context.deployment.alias)
    if _needs_fence(context):
        return _switch_behind_fence(context)
    return complete_switch(context, move_to_green(context))


def _needs_fence(context: StepContext) -> bool:
    """Returns whether both collections must be equal at the moment of the switch."""
    if not context.deployment.spec.writes.compares_behind_fence:
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
        moved.append(move_to_green(context, check))

    passed = fence.pass_fence(context, follower, seconds, move_alias)
    if passed.moved:
        return complete_switch(
            context,
            moved[0],
            f"writes were refused for {passed.held:.2f} s",
            held=passed.held,
            leader=passed.round.leader,
        )
    return drop_fence(
        context,
        state,
        f"writes were refused for {passed.held:.1f} s and let in again: in that time "
        f"{passed.round.checked:,} points were compared, and fence_seconds allows {seconds:g} s",
    )


def _come_near(context: StepContext, follower: Follower, state: SwitchState) -> Outcome:
    current, more = comparing.compare_piece(
        comparing.in_turn(context, follower),
        state.ahead or RoundState(),
        limit_to_turn(context),
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


def switch_to_blue(context: StepContext) -> Outcome:
    """Moves the alias back to blue if it is on green. If somebody has moved it elsewhere, it stays
    there."""
    deployment = context.deployment
    services = context.services
    decided = journaled.find_decided(context)
    if decided == deployment.green:  # there is no way back before that
        with suppress(Refused):
            finish_by_journal(context)
    if decided == deployment.blue:
        return complete_way_back(context, WITH_WRITES)
    found = services.store.aliases().get(deployment.alias)
    if found != deployment.green:
        said = f"{deployment.alias} is on {found}, not on {deployment.green}; left there"
        left = leave_behind(context, deployment.blue)
        return Done(StepOutput(summary="; ".join(filter(None, [said, left]))))
    if deployment.blue and deployment.blue not in services.store.collections():
        return Reject(f"{deployment.blue} is gone, {deployment.alias} stays on {deployment.green}")
    if not _carries_back(context):
        return complete_way_back(context, "")
    carry_back = carry_back_by_journal if journaled.uses_journal(context) else _carry_back
    try:
        return carry_back(context)
    except (Refused, Unavailable) as error:
        return complete_way_back(
            context, f"what was written to {deployment.green} stays there: {error}"
        )


def _carries_back(context: StepContext) -> bool:
    """Returns whether blue gets what was written to green before the alias returns to it. A
    collection that is broken is left at once. If green never got what was written to blue, blue
    would lose it too."""
    if not context.deployment.spec.writes.leads_live or context.deployment.blue is None:
        return False
    caught_up = context.outputs.find(CaughtUp)
    if caught_up is not None and caught_up.gave_up:
        return False
    failure = readiness.find_failure(context.services.store, context.deployment.green)
    return not readiness.why_unable_to_serve(context.deployment.green, failure)


def _carry_back(context: StepContext) -> Outcome:
    """Brings to blue what was written to green, and then switches back behind a fence."""
    state = context.load(SwitchState)
    follower = comparing.open_way_back(context)
    if state.back is None or state.back.position is not None:
        current, more = comparing.compare_piece(
            comparing.in_turn(context, follower),
            state.back or RoundState(),
            limit_to_turn(context),
        )
        context.save(replace(state, back=current), progress=True)
        if more and current.seconds < _LONGEST_WAY_BACK:
            return Wait(0, f"{current.checked:,} points compared, {current.made:,} brought back")
    passed = fence.pass_fence(
        context,
        follower,
        context.deployment.spec.writes.fence_seconds,
        lambda current, check: move_to_blue(context, check),
    )
    if passed.moved:
        return complete_way_back(context, WITH_WRITES)
    return complete_way_back(context, "what was written last may have stayed behind")


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
