"""Gives green what was written while it was built and judged, before any search or the alias goes
to it."""

from collections.abc import Callable
from dataclasses import replace

from qdrant_rollouts.core.collections import readiness
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.seen import forget_seen
from qdrant_rollouts.core.config.index_file import WritesSpec
from qdrant_rollouts.core.database import treatments
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import (
    Done,
    Hold,
    Outcome,
    StepContext,
    StepFunction,
    Wait,
)
from qdrant_rollouts.core.deployments.steps import (
    comparing,
    journaled,
    pieces,
    reading,
    rereading,
    sliced_rounds,
    source_reader,
)
from qdrant_rollouts.core.deployments.steps.catch_up_journal import (
    catch_up_by_journal,
    why_no_way_back,
)
from qdrant_rollouts.core.deployments.steps.data import CatchUpState, CaughtUp, RoundState
from qdrant_rollouts.core.deployments.steps.direction import goes_back
from qdrant_rollouts.core.deployments.steps.gone_records import TooManyGone
from qdrant_rollouts.core.deployments.steps.listed_ids import join_ids, keep_first
from qdrant_rollouts.core.deployments.steps.pieces import limit_to
from qdrant_rollouts.core.deployments.steps.rounds import (
    describe_last,
    end_round,
    measure_progress,
    sum_up,
)
from qdrant_rollouts.core.deployments.steps.writers import tell_faster
from qdrant_rollouts.core.errors import Limited, Refused, Unavailable

#: A round that is not shorter than this share of the one before shows that rounds get no shorter.
_SHORTER = 0.8
_WAIT_FOR_WRITERS = 10.0
_SOON = 1.0
#: For so many seconds a rollback waits for a collection that cannot be read.
_LONGEST_WAY_BACK = 30.0

#: One piece of a round, of so many seconds: returns the round, and whether there is more of it.
Piece = Callable[[RoundState, float], tuple[RoundState, bool]]


def catch_up(context: StepContext) -> Outcome:
    """Works on a round, and decides after it whether another one is needed. Safe to run twice: a
    piece that is repeated finds less to do."""
    if context.arguments.get("lists"):
        return _try_to_list(context)
    work = catch_up_by_journal if journaled.uses_journal(context) else _work_on_rounds
    if goes_back(context):
        return _catch_up_older_version(context, work)
    return _wait_for_worker(context) or work(context)


def _work_on_rounds(context: StepContext) -> Outcome:
    state = context.load(CatchUpState)
    if not state.number and state.round is None and _is_source_unchanged(context):
        return Done(sum_up(context, state, "the source has not changed since it was read"))
    if state.round is None and not state.slices and has_leader(context):
        state = sliced_rounds.begin_round(context, state)
    if state.slices:
        return _await_slices(context, state)
    work = _open_work(context, _last_begin(state), begun=state.number > 0)
    size = estimate_points(context.services.store, context.deployment.green)

    def do_piece(state: CatchUpState, seconds: float) -> tuple[CatchUpState, bool]:
        current, more = work(state.round or RoundState(), seconds)
        progress = measure_progress(context, state, current, size)
        moved = replace(state, round=current, progress=progress)
        if more:
            return moved, True
        return end_round(context, moved, current), False

    try:
        state = pieces.work(context, state, do_piece)
    except TooManyGone as error:
        return _hold_for_gone(context, error)
    if state.round is not None:
        return Wait(0, _describe_round(state))
    return _decide(context, state)


def _await_slices(context: StepContext, state: CatchUpState) -> Outcome:
    found = sliced_rounds.await_round(context, state)
    if not isinstance(found, RoundState):
        return found
    state = end_round(context, replace(state, slices=None), found)
    context.save(state, progress=True)
    return _decide(context, state)


def _catch_up_older_version(context: StepContext, work: StepFunction) -> Outcome:
    """Brings to an older version what was written since. Whoever goes back from a broken collection
    must not wait for it."""
    leader = context.deployment.blue
    assert leader is not None
    failure = readiness.find_failure(context.services.store, leader)
    broken = readiness.why_unable_to_serve(leader, failure)
    if broken:
        return _give_up(broken)
    try:
        return _wait_for_worker(context) or work(context)
    except Limited:
        raise
    except Unavailable as error:
        if context.waited < _LONGEST_WAY_BACK:
            raise
        return _give_up(str(error))


def _wait_for_worker(context: StepContext) -> Outcome | None:
    """Waits while a worker of an experiment, which has ended, may still write to green."""
    services = context.services
    with services.sessions() as session:
        now = services.clock.now(session)
        busy = treatments.is_being_written(session, now, context.deployment.green)
    return Wait(_SOON, "another worker still brings writes to it", progress=False) if busy else None


def _give_up(why: str) -> Outcome:
    return Done(CaughtUp(summary=f"{why}; nothing more is brought from it", gave_up=True))


def _try_to_list(context: StepContext) -> Outcome:
    """The alias has moved, and nothing that fails here may move it back."""
    try:
        return _list_left_behind(context)
    except Limited:
        raise
    except (Refused, Unavailable) as error:
        told = f"what stays behind could not be listed: {error}"
        return Done(CaughtUp(summary=told, gave_up=True))


def _list_left_behind(context: StepContext) -> Outcome:
    """Compares after a switch that waited for nothing, and writes nothing: what differs stays
    behind."""
    sides = comparing.open_payloads(context)

    def do_piece(state: CatchUpState, seconds: float) -> tuple[CatchUpState, bool]:
        current, ids, more = comparing.list_piece(
            context, sides, state.round or RoundState(), limit_to(seconds)
        )
        listed = keep_first(state.ids, ids)
        progress = measure_progress(context, state, current)
        return replace(state, round=current, ids=listed, progress=progress), more

    state = pieces.work(context, context.load(CatchUpState), do_piece)
    assert state.round is not None
    blue = context.deployment.blue
    if state.round.position is not None:
        return Wait(0, f"{state.round.checked:,} points of {blue} compared")
    count = state.round.made
    ids = join_ids(state.ids)
    if not count:
        return Done(CaughtUp(summary=f"nothing of {blue} stays behind"))
    return Done(CaughtUp(summary=f"{count:,} points of {blue} differ and stay behind: {ids}"))


def forget_catching_up(context: StepContext) -> Outcome:
    """Removes what a pass over the source has left in the database."""
    with context.services.sessions.begin() as session:
        context.turn.fence(session)
        forget_seen(session, context.deployment.id)
    return Done(StepOutput())


def must_follow(context: StepContext, followed: str | None) -> bool:
    """Returns whether something may have been written since ``followed``, the fingerprint of the
    source when green was last brought up to it. A source that cannot be read now is asked again at
    the next look; it must not keep anybody from watching green."""
    if not context.deployment.spec.writes.follows or context.outputs.find(CaughtUp) is None:
        return False
    if has_leader(context):
        by_a_worker = journaled.has_own_worker(context)
        return context.deployment.spec.writes.leads_live and not by_a_worker
    known = followed or context.outputs.get(CaughtUp).fingerprint
    try:
        now = reading.open_deployment_source(context).fingerprint()
    except (Refused, Unavailable):
        return False
    return now is None or now != known


def follow_writes(
    context: StepContext, current: RoundState | None, seconds: float
) -> tuple[RoundState, bool]:
    """Works for some seconds on a round beside another step. Returns the round, and whether there
    is more of it."""
    return _open_work(context)(current or RoundState(), seconds)


def _last_begin(state: CatchUpState) -> str | None:
    """Returns from when on a pass reads what has changed; None before the first one."""
    return state.rounds[-1].begun if state.rounds else None


def _open_work(context: StepContext, since: str | None = None, *, begun: bool = False) -> Piece:
    """Returns what works on a round. A source that is a collection is compared like a live one.
    ``since``: from when on a source is read that can tell changes, if not since it was read
    last. ``begun``: a round has been done."""
    if journaled.uses_journal(context):
        work = journaled.open_forward(context)
        return lambda current, seconds: journaled.follow_piece(work, current, limit_to(seconds))
    if has_leader(context):
        comparison = comparing.in_turn(context, comparing.open_follower(context, begun=begun))
        return lambda current, seconds: comparing.compare_piece(
            comparison, current, limit_to(seconds)
        )
    reader = source_reader.open_reader(context)

    def read_on(current: RoundState, seconds: float) -> tuple[RoundState, bool]:
        begun = current if current.phase else source_reader.begin_changes(reader, since)
        return rereading.read_piece(reader, begun, seconds)

    return read_on


def has_leader(context: StepContext) -> bool:
    """Returns whether green is compared with a collection, and not with a source of records."""
    if context.deployment.source is None:
        return True
    return reading.open_deployment_source(context).collection is not None


def _is_source_unchanged(context: StepContext) -> bool:
    """Returns whether the source says that it is as it was. A collection cannot say that."""
    filled = context.outputs.find(Filling)
    if filled is None or has_leader(context):
        return False
    known = reading.open_deployment_source(context).fingerprint()
    return known is not None and known == filled.fingerprint


def _decide(context: StepContext, state: CatchUpState) -> Outcome:
    """Decides after a round: it was short enough, another one will be shorter, or writers are
    faster."""
    writes = context.deployment.spec.writes
    last = state.rounds[-1]
    fenced = writes.way == "compare"
    bound = writes.fence_seconds if fenced else writes.settle_seconds
    settled = last.seconds <= bound or (not fenced and not last.made + last.deleted)
    if settled or (fenced and context.services.store.server().embedded):
        return Done(sum_up(context, state, why_no_way_back(context) if fenced else ""))
    before = state.rounds[-2].seconds if len(state.rounds) > 1 else None
    if before is None or last.seconds < _SHORTER * before:
        return Wait(0, _describe_last(state))
    if not writes.compares_behind_fence:
        return Done(sum_up(context, state, "what is written meanwhile follows after the switch"))
    return _wait_or_hold(context, state, writes)


def _wait_or_hold(context: StepContext, state: CatchUpState, writes: WritesSpec) -> Outcome:
    last = state.rounds[-1]
    told = (
        f"writes would be refused for about {last.seconds:.1f} s, and fence_seconds allows "
        f"{writes.fence_seconds:g} s: the last comparison of {last.checked:,} points took that "
        f"long, with {last.made:,} points made and {last.deleted:,} deleted in it"
    )
    tell_faster(context, told, last)
    if writes.if_longer == "wait":
        return Wait(_WAIT_FOR_WRITERS, f"{told}; {context.patience}", progress=False)
    return Hold(f"{told}; promote accepts that", sum_up(context, state, told))


def _hold_for_gone(context: StepContext, error: TooManyGone) -> Outcome:
    """A person decides about many deletions. Promoting goes on without them."""
    state = replace(context.load(CatchUpState), round=None)
    context.save(state)
    told = f"{error}; retry reads it again, promote switches with all of them still there"
    return Hold(told, sum_up(context, state, str(error)))


def _describe_round(state: CatchUpState) -> str:
    assert state.round is not None
    one = state.round
    changed = f"{one.made:,} made, {one.deleted:,} deleted"
    told = f"round {state.number + 1}: {one.checked:,} points compared, {changed}"
    return "; ".join(filter(None, (told, describe_last(state))))


def _describe_last(state: CatchUpState) -> str:
    last = state.rounds[-1]
    return (
        f"round {state.number} took {last.seconds:.1f} s: {last.made:,} points made, "
        f"{last.deleted:,} deleted; another one follows"
    )
