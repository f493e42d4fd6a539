"""Lets several workers share a comparison of both collections: cuts it by ids, waits for the
slices, and adds up what they have found.

Rule: each id belongs to one slice, so it does not matter which is first. What a slice has seen of
the leading collection can be added to what the others have seen. Each round has slices of its own,
whose numbers go on from those before. So a late worker of an earlier slice does not touch them.

The last comparison before a switch is not cut if writers are refused meanwhile: they must not wait
for workers that may be busy. One worker measures how long it will take, so then only the first
round is cut, which has most to bring over. Its seconds are those of all slices together.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import func, select

from qdrant_rollouts.core.collections.merging import BucketDigests
from qdrant_rollouts.core.collections.parts import find_cuts
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.database.step_data import Progress, StepOutput, read_data
from qdrant_rollouts.core.deployments import due_slices
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import comparing, pieces, slicing
from qdrant_rollouts.core.deployments.steps.data import CatchUpState, ComparedSlice, RoundState
from qdrant_rollouts.core.deployments.steps.direction import goes_back
from qdrant_rollouts.core.deployments.steps.rounds import measure_progress
from qdrant_rollouts.core.lifecycle import SliceStatus
from qdrant_rollouts.core.ports import Cursor


def begin_round(context: StepContext, state: CatchUpState) -> CatchUpState:
    """Cuts the round that begins into slices, if several workers can share it, and saves that.
    Returns the state. An older version is compared by one worker: it is much like the newer one."""
    measures_fence = state.number > 0 and context.deployment.spec.writes.compares_behind_fence
    if measures_fence or goes_back(context) or not comparing.is_filled_here(context):
        return state
    leader = comparing.name_leader(context)
    points = context.services.store.health(leader).points
    cuts = find_cuts(
        context.services.source(f"collection:{leader}"), _count_slices(context, leader, points)
    )
    if not cuts:
        return state
    slices = len(cuts) + 1
    begun = replace(state, slices=slices)
    # A state without content would say nothing of its form.
    initial = ComparedSlice(progress=Progress(done=0, size=-(-points // slices), unit="points"))
    with context.services.sessions.begin() as session:
        context.turn.fence(session)
        mine = SliceRow.deployment_id == context.deployment.id
        last = session.scalar(select(func.max(SliceRow.number)).where(mine))
        first = 0 if last is None else last + 1
        slicing.add_slices(context, session, cuts, initial, first)
        context.save_within(session, begun)
    return begun


def await_round(context: StepContext, state: CatchUpState) -> RoundState | Outcome:
    """Returns the round if all slices have been compared, or what it waits for."""
    assert state.slices is not None
    rows, now = slicing.read_slices(context, state.slices)
    failure = slicing.describe_failure(rows)
    if failure:
        return Reject(failure)
    rounds = [read_data(ComparedSlice, row.state).round or RoundState() for row in rows]
    added = _add_up(rounds)
    done = [row for row in rows if row.status == SliceStatus.DONE]
    if len(done) == len(rows):
        return replace(added, leader=_merge_digests(rounds), slices=len(rows))
    size = estimate_points(context.services.store, context.deployment.green)
    before = state.progress
    progress = measure_progress(context, state, added, size)
    context.save(replace(state, progress=progress))
    due_slices.knock_due(context.services, len(rows), context.deployment.id)
    moves = before is None or progress.done != before.done
    moves = moves or any(slicing.is_in_hand(row, now) for row in rows)
    told = f"round {state.number + 1}: {len(done)} of {len(rows)} slices, "
    told += f"{added.checked:,} points compared, {added.made:,} made, {added.deleted:,} deleted"
    told = "; ".join(filter(None, (told, slicing.describe_waiting(rows))))
    return Wait(context.services.times.ready_look, told, progress=moves)


def compare_slice(
    context: StepContext, number: int, start: Cursor | None, stop: Cursor | None
) -> Outcome:
    """Compares the points from the id of ``start`` on, up to the one before that of ``stop``."""
    state = context.load(ComparedSlice)
    if state.round is None or state.round.position is not None:
        follower = comparing.open_follower(context)
        comparison = comparing.in_turn(context, follower, stop["after"] if stop else None)
        begin = RoundState(position=start["after"] if start else None)

        def compare_on(state: ComparedSlice, seconds: float) -> tuple[ComparedSlice, bool]:
            goes_on = pieces.limit_to(seconds)
            current, more = comparing.compare_piece(comparison, state.round or begin, goes_on)
            assert state.progress is not None
            progress = replace(state.progress, done=current.checked)
            return replace(state, round=current, progress=progress), more

        state = pieces.work(context, state, compare_on)
    assert state.round is not None
    told = f"{state.round.checked:,} points compared"
    if state.round.position is None:
        return Done(StepOutput(summary=told))
    return Wait(0, told)


def _count_slices(context: StepContext, leader: str, points: int) -> int:
    most = slicing.count_sharing_workers(context.services, context.deployment.spec, leader)
    if most < 2 or context.deployment.spec.populate.parallel != "auto":
        return most
    return min(most, points // slicing.LEAST_COPIED)


def _add_up(rounds: Sequence[RoundState]) -> RoundState:
    return RoundState(
        seconds=sum(one.seconds for one in rounds),
        checked=sum(one.checked for one in rounds),
        made=sum(one.made for one in rounds),
        deleted=sum(one.deleted for one in rounds),
        bad=sum(one.bad for one in rounds),
    )


def _merge_digests(rounds: Sequence[RoundState]) -> str:
    seen = BucketDigests()
    for one in rounds:
        seen.merge(BucketDigests(one.leader))
    return seen.as_text()
