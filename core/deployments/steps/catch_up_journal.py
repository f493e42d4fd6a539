"""Catches up by the journal, until few writes are left, which the fence brings over.

First come the rounds. Then both collections are compared once, because applications may write
around the journal; rounds go on meanwhile.
"""

from collections.abc import Sequence
from dataclasses import replace

from qdrant_rollouts.core.deployments.plan import Done, Hold, Outcome, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import comparing, journaled, unjournaled
from qdrant_rollouts.core.deployments.steps.data import CatchUpState, CaughtUp, RoundState
from qdrant_rollouts.core.deployments.steps.direction import goes_back
from qdrant_rollouts.core.deployments.steps.journaled import Work
from qdrant_rollouts.core.deployments.steps.listed_ids import join_ids, keep_first
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn, limit_to_turn
from qdrant_rollouts.core.deployments.steps.rounds import end_round, sum_up
from qdrant_rollouts.core.deployments.steps.writers import tell_faster
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.journal.fences import why_not_entered
from qdrant_rollouts.core.ports import PointId

_SOON = 0.5
_AGAIN_WHEN_SLOWER = 10.0
#: A turn after which more than this share of the writes is left shows that writers are faster.
_FEWER = 0.8


def catch_up_by_journal(context: StepContext) -> Outcome:
    """Works on rounds, and then on the comparison. Safe to run twice: what is repeated finds less
    to do."""
    waits = journaled.claim_rounds(context)
    if waits is not None:
        return waits
    work = journaled.open_forward(context)
    goes_on = limit_to_turn(context)
    state = _do_rounds(context, work, goes_on)
    lag = work.catcher.ledger.measure_lag(work.catcher.alias)
    why_not = why_not_entered(work.catcher, lag)
    if lag.quiet or lag.unknown:
        return Wait(min(lag.quiet or _SOON, _AGAIN_WHEN_SLOWER), why_not, progress=False)
    if why_not:
        return _go_on_or_hold(context, state, why_not)
    return _look_around(context, work, state, goes_on)


def _do_rounds(context: StepContext, work: Work, goes_on: GoesOn) -> CatchUpState:
    current, _ = journaled.follow_piece(work, RoundState(), goes_on)
    state = context.load(CatchUpState)
    if current.checked or not state.number:
        state = end_round(context, state, current)
    context.save(state, progress=True)
    return state


def _go_on_or_hold(context: StepContext, state: CatchUpState, why_not: str) -> Outcome:
    last = state.rounds[-1]
    before = state.rounds[-2].left if len(state.rounds) > 1 else None
    if before is None or (last.left or 0) < _FEWER * before:
        return Wait(0, why_not)
    told = (
        f"writers are faster than the rebuild: {why_not}, {before:,} were left before; the last "
        f"turn brought {last.checked:,} points over in {last.seconds:.1f} s"
    )
    tell_faster(context, told, last)
    if context.deployment.spec.writes.if_longer == "wait":
        return Wait(_AGAIN_WHEN_SLOWER, f"{told}; {context.patience}", progress=False)
    return Hold(f"{told}; retry goes on, promote tries the switch", sum_up(context, state, told))


def _look_around(context: StepContext, work: Work, state: CatchUpState, goes_on: GoesOn) -> Outcome:
    looked = state.look
    if looked is None or looked.position is not None:
        looked, ids, more = unjournaled.look_on(context, work, looked or RoundState(), goes_on)
        state = replace(state, look=looked, ids=keep_first(state.ids, ids))
        context.save(state, progress=True)
        if more:
            return Wait(0, f"{looked.checked:,} points compared, for writes around the journal")
    told = _describe_around(looked, state.ids)
    output = sum_up(context, state, "; ".join(filter(None, [told, why_no_way_back(context)])))
    refused = context.deployment.spec.writes.refuses_foreign and not goes_back(context)
    if looked.made and refused:
        return _hold_for_foreign(context, state, told, output)
    return Done(output)


def _hold_for_foreign(
    context: StepContext, state: CatchUpState, told: str, output: CaughtUp
) -> Outcome:
    context.save(replace(state, look=None, ids=()))
    return Hold(
        f"{told}; whoever wrote them may do so again, and after the switch it would be lost: let "
        "all writers use our clients; retry looks again, promote switches",
        output,
    )


def _describe_around(look: RoundState, ids: Sequence[PointId]) -> str:
    if not look.made:
        return ""
    told = f"written around the journal and brought over, {look.made:,} points"
    return f"{told}: {join_ids(ids)}"


def why_no_way_back(context: StepContext) -> str:
    """Returns why a rollback will not bring back what is written after the switch; empty if it
    will. It is said before the switch."""
    if context.deployment.blue is None:
        return ""
    try:
        comparing.open_way_back(context)
    except (Refused, Unavailable) as error:
        return f"a rollback will not bring back what is written after the switch: {error}"
    return ""
