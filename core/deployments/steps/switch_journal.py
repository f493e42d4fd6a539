"""The switch by the journal, and the way back: the alias is moved behind the journal's fence."""

from dataclasses import replace

from qdrant_rollouts.core.deployments.plan import Hold, Outcome, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import journaled, unjournaled
from qdrant_rollouts.core.deployments.steps.data import CaughtUp, RoundState, SwitchState
from qdrant_rollouts.core.deployments.steps.direction import goes_back
from qdrant_rollouts.core.deployments.steps.journaled import Work
from qdrant_rollouts.core.deployments.steps.pieces import limit_to_turn
from qdrant_rollouts.core.deployments.steps.switch_moves import (
    WITH_WRITES,
    complete_switch,
    complete_way_back,
    drop_fence,
    leave_behind,
    move_to_green,
)
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.journal.fences import Fenced

#: Seconds for which a rollback waits for its fence. A write without an answer can be read after a
#: minute and a quarter.
_LONGEST_WAY_BACK = 100.0
_AGAIN_WAY_BACK = 1.0


def switch_by_journal(context: StepContext) -> Outcome:
    """Switches behind the journal's fence. Without one, if nobody may wait for it, the journal
    ends, and what did not reach green is listed."""
    caught_up = context.outputs.find(CaughtUp)
    if caught_up is None or caught_up.gave_up:
        moved = move_to_green(context)
        return complete_switch(context, moved, leave_behind(context, context.deployment.green))
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
        return finish_by_journal(context, fenced.seconds, differing)
    if differing:
        context.save(replace(state, look=None))
        return Hold(
            f"somebody wrote around the journal after both collections were compared: {differing}; "
            "retry compares them again, promote switches without what was written"
        )
    told = f"writes were let in again after {fenced.seconds:.2f} s: {fenced.why_not}"
    return drop_fence(context, state, told, closed=fenced.seconds > 0)


def _accepts_foreign(context: StepContext, state: SwitchState) -> bool:
    """Returns whether writes around the journal hold nobody up: the index file or a person has said
    so, or somebody goes back to an older version."""
    caught_up = context.outputs.get(CaughtUp)
    asked = context.deployment.spec.writes.refuses_foreign and not goes_back(context)
    return not asked or bool(state.approved_by or caught_up.approved_by)


def _look_again(context: StepContext, work: Work, state: SwitchState) -> Outcome:
    look, _, _ = unjournaled.look_on(
        context, work, state.look or RoundState(), limit_to_turn(context)
    )
    context.save(replace(state, look=look), progress=True)
    return Wait(0, f"{look.checked:,} points compared again, {look.made:,} brought over")


def finish_by_journal(
    context: StepContext, held: float | None = None, differing: str = ""
) -> Outcome:
    """The switch is decided. If somebody has moved the alias elsewhere meanwhile, writes are let in
    all the same."""
    try:
        moved = move_to_green(context)
    except Refused:
        journaled.finish_switch(context, context.deployment.green)
        raise
    journaled.finish_switch(context, context.deployment.green)
    seconds = context.load(SwitchState).held if held is None else held
    told = f"writes waited for {seconds:.2f} s"
    if differing:
        told = f"{told}; somebody wrote around the journal: {differing}"
    return complete_switch(context, moved, told, held=seconds)


def carry_back_by_journal(context: StepContext) -> Outcome:
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
        return complete_way_back(context, WITH_WRITES)
    if context.waited < _LONGEST_WAY_BACK:
        return Wait(_AGAIN_WAY_BACK, fenced.why_not, progress=False)
    return complete_way_back(context, fenced.why_not)
