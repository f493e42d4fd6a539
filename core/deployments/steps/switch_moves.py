"""What all switches and their undos share, whichever way writes are caught up with: the alias is
moved, writes follow it, and people are told what came of it."""

from collections.abc import Callable
from dataclasses import replace

from qdrant_rollouts.core.collections import aliases
from qdrant_rollouts.core.collections.aliases import Moved
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import DeploymentView, Done, Outcome, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import foreign_writes, journaled
from qdrant_rollouts.core.deployments.steps.data import Switched, SwitchState
from qdrant_rollouts.core.deployments.steps.version_notes import note_facts, served_facts
from qdrant_rollouts.core.deployments.steps.writers import tell_faster
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.journal import rebuilding
from qdrant_rollouts.core.routing import table

#: So many fences that took too long show that writers are faster. Seconds between two of them.
_MOST_FENCES = 5
_AGAIN_AFTER_FENCE = 5.0
_AGAIN_WHEN_SLOWER = 30.0
#: Raises LeaseLost unless so many seconds are left.
Check = Callable[[float], None]
WITH_WRITES = "with what was written meanwhile"


def drop_fence(
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


def move_to_green(context: StepContext, check: Check | None = None) -> Moved:
    return _move_alias(context, context.deployment.green, context.deployment.blue, check)


def move_to_blue(context: StepContext, check: Check | None = None) -> Moved:
    return _move_alias(context, context.deployment.blue, context.deployment.green, check)


def _move_alias(
    context: StepContext, collection: str | None, other: str | None, check: Check | None
) -> Moved:
    return aliases.move_alias(
        context.services,
        context.deployment.alias,
        collection,
        expected={other},
        actor="system",
        deployment_id=context.deployment.id,
        check=check or context.turn.check,
    )


def complete_switch(
    context: StepContext,
    moved: Moved,
    note: str = "",
    *,
    held: float = 0.0,
    leader: str | None = None,
) -> Outcome:
    """Returns the outcome of a switch, once the alias is on green and searches go there too.
    ``held`` and ``leader`` as in ``Switched``."""
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


def leave_behind(context: StepContext, leader: str | None) -> str:
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


def complete_way_back(context: StepContext, note: str) -> Outcome:
    """Moves the alias to blue. Writes follow it: behind the fence if the journal has decided that,
    else what did not reach blue is listed."""
    deployment = context.deployment
    decided = journaled.find_decided(context)
    try:
        move_to_blue(context)
    except Refused as error:  # somebody has moved the alias, or blue is gone
        if decided is None:
            raise
        rebuilding.leave_journal(context.services, deployment.alias, decided=True)
        return Done(StepOutput(summary=f"{deployment.alias} was left where it is: {error}"))
    words = [f"{deployment.alias} is back on {deployment.blue}", note]
    if decided is not None and decided == deployment.blue:
        words[1] = WITH_WRITES
        journaled.finish_switch(context, decided)
    else:
        words.append(leave_behind(context, deployment.blue))
    return Done(StepOutput(summary="; ".join(filter(None, words))))
