"""Fills green from a collection whose vectors need no change: by a stream of raw points, or by a
snapshot.

Rule: the server is asked in one request that it answers when it is done, and only its answer
counts. The answer names the snapshot that was made for us, so no other one is ever removed. A
recovery replaces all points of green. If its answer is lost, it may still come at any later time.
Then green is used only if its points show that the recovery is over, as those of a single shard do.

A proxy may end every request that is silent for long. So a lost answer is remembered for its index,
and the next deployments are filled in another way (``lost_answers``).
"""

import time
from dataclasses import replace
from functools import partial

from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.seen import forget_seen
from qdrant_rollouts.core.database.step_data import Progress, StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import lost_answers, pieces, reading, rooms, slicing
from qdrant_rollouts.core.deployments.steps.data import CLONED, DELTA, FillState
from qdrant_rollouts.core.deployments.steps.long import await_answer
from qdrant_rollouts.core.errors import OutcomeUnknown, Refused, Unavailable
from qdrant_rollouts.core.ports import Cursor, PointId, Snapshot

#: Snapshots that are asked for, if the worker dies each time before it hears the name.
_MOST_ASKED = 3
#: How often an undo looks for the result of a recovery whose answer is lost.
_UNDO_LOOKS = 15
_LOOK_SECONDS = 1.0


def copy_points(context: StepContext) -> Outcome:
    """Copies as many points as fit into a turn, in pieces. A piece that is repeated after a crash
    writes the same points again."""
    _, told = _copy_before(context, context.load(FillState), None)
    return Wait(0, told)


def copy_slice(context: StepContext, start: Cursor | None, stop: Cursor | None) -> Outcome:
    """The same for the points from the id of ``start`` on, up to the one before that of ``stop``.
    So each point belongs to one slice."""
    state = context.load(FillState)
    if state.position is None and start is not None:
        state = replace(state, position=start["after"])
    told = f"{state.written or 0:,} points copied"
    if not state.filled:
        state, told = _copy_before(context, state, (stop or {}).get("after"))
    if state.filled:
        return Done(StepOutput(summary=told))
    return Wait(0, told)


def _copy_before(
    context: StepContext, begun: FillState, until: PointId | None
) -> tuple[FillState, str]:
    """Copies points before the id ``until``. Returns the new state, and what was done in words."""
    deployment = context.deployment
    services = context.services
    source = _source_collection(context)
    size = estimate_points(services.store, source)
    started = time.monotonic()
    rate = 0.0

    def copy(state: FillState, seconds: float) -> tuple[FillState, bool]:
        nonlocal rate
        copied, position = services.store.copy(
            source, deployment.green, state.position, seconds, until
        )
        written = (state.written or 0) + copied
        rate = round((written - (begun.written or 0)) / max(time.monotonic() - started, 1e-6), 1)
        progress = Progress(done=written, size=size, unit="points", rate=rate)
        moved = replace(
            state, written=written, expected=written, position=position, progress=progress
        )
        return replace(moved, filled=position is None), position is not None

    state = pieces.work(context, begun, copy)
    return state, f"{state.written:,} of {size:,} points copied, {rate:,.0f}/s"


def copy_by_snapshot(context: StepContext) -> Outcome:
    """Takes a snapshot of the source and recovers it into the empty green."""
    state = context.load(FillState)
    return _PHASES[state.phase](context, state)


def drop_own_snapshot(context: StepContext) -> Outcome:
    """Removes our snapshot. A recovery whose answer is lost is waited for a limited time, because
    it would make green again after it was dropped."""
    state = context.load(FillState)
    dropped = _drop_source_snapshot(context, state)
    late = ""
    if state.phase in _UNANSWERED:
        found = _count_recovered(context)
        if found and found == state.written:
            return Done(StepOutput(summary=dropped))
        if state.undo_looks < _UNDO_LOOKS:
            context.save(replace(state, written=found, undo_looks=state.undo_looks + 1))
            return Wait(_LOOK_SECONDS, "waiting for the recovery that may still come")
        late = describe_late_recovery(context)
    words = (dropped, describe_unnamed(_count_unanswered(state)), late)
    return Done(StepOutput(summary="; ".join(filter(None, words))))


def _count_recovered(context: StepContext) -> int:
    """Returns 0 for a collection that cannot be read while its content is exchanged."""
    try:
        return context.services.store.count(context.deployment.green)
    except (Refused, Unavailable):
        return 0


def describe_late_recovery(context: StepContext) -> str:
    green = context.deployment.green
    return f"if the server makes {green} again after it was dropped, `rollouts gc` deletes it"


def describe_unnamed(state: FillState) -> str:
    """Says that snapshots may be left over whose names nobody has heard; empty if there are
    none."""
    if not state.unnamed:
        return ""
    return (
        f"{state.unnamed} snapshots of {state.cloned} were asked for without an answer that names "
        "them: they may be left on the server, look there and remove those that nobody needs"
    )


def _make_snapshot(context: StepContext, state: FillState) -> Outcome:
    """Runs again if the worker died before the answer was written down. The snapshot of then stays,
    for nobody knows which one it is."""
    source = _source_collection(context)
    state = replace(_count_unanswered(state), phase="", cloned=source)
    barred = rooms.look_for_clone(context, source)
    if state.unnamed >= _MOST_ASKED:
        barred = "its worker died each time before it had the name"
    if barred:
        return _fill_otherwise(context, state, barred)
    context.save(replace(state, phase="asking"))
    seconds = context.deployment.spec.progress_deadline_seconds
    context.turn.check(ACT_SECONDS)
    make = partial(context.services.store.make_snapshot, source, seconds)
    try:
        made = await_answer(context, make, seconds)
    except (Refused, Unavailable) as error:
        return _end_failed_snapshot(context, state, error)
    if made is None:
        return Wait(0, "nobody waits for the snapshot any longer: an abort is asked for")
    context.save(replace(state, phase="made", snapshot=made.name, checksum=made.sha256))
    return Wait(0, f"snapshot {made.name} made")


def _end_failed_snapshot(
    context: StepContext, state: FillState, error: Refused | Unavailable
) -> Outcome:
    if isinstance(error, OutcomeUnknown):
        lost_answers.remember(context, f"the request for a snapshot of {state.cloned}", str(error))
        return _fill_otherwise(context, replace(state, unnamed=state.unnamed + 1), str(error))
    return _try_later(context, state, error)


def _count_unanswered(state: FillState) -> FillState:
    """Returns the state with the request in it that is written down and has no answer. A release
    before wrote more phases, and asked without waiting for an answer."""
    if state.phase in ("", CLONED) or state.snapshot:
        return state
    return replace(state, unnamed=state.unnamed + 1, phase="")


def _try_later(context: StepContext, state: FillState, error: Refused | Unavailable) -> Outcome:
    """Lets the engine try again what a server that did not answer has surely not done. When half of
    the patience is gone, green is filled in another way, which has the rest of it. So it is at once
    if the server refused."""
    gone = 2 * context.waited > context.deployment.spec.progress_deadline_seconds
    if gone or isinstance(error, Refused):
        return _fill_otherwise(context, state, str(error))
    context.save(state)
    raise error


def _recover_snapshot(context: StepContext, state: FillState) -> Outcome:
    if not state.snapshot:  # the release before did not wait for its name
        return _make_snapshot(context, state)
    store = context.services.store
    green = context.deployment.green
    seconds = context.deployment.spec.progress_deadline_seconds
    snapshot = Snapshot(state.snapshot, 0, state.checksum)

    def recover() -> bool:
        store.recover(green, state.cloned, snapshot, seconds)
        return True

    try:
        store.check_recovery(green, state.cloned)
    except (Refused, Unavailable) as error:
        return _try_later(context, state, error)
    context.turn.check(ACT_SECONDS)
    context.save(replace(state, phase="recovering"))
    try:
        done = await_answer(context, recover, seconds)
    except (Refused, Unavailable) as error:
        return _end_failed_recovery(context, state, error)
    if done is None:
        return Wait(0, "nobody waits for the recovery any longer: an abort is asked for")
    context.save(replace(state, phase="recovered"))
    return Wait(0, f"{state.snapshot} recovered")


def _end_failed_recovery(
    context: StepContext, state: FillState, error: Refused | Unavailable
) -> Outcome:
    """A recovery that failed half way may leave points, or a collection that does not answer."""
    green = context.deployment.green
    if isinstance(error, OutcomeUnknown):
        return _await_recovery(context, replace(state, phase="lost"), str(error))
    context.save(state)  # nothing comes any more
    try:
        found = context.services.store.count(green)
    except (Refused, Unavailable):
        return _end_unreadable_green(context, state, error)
    if found:
        _drop_source_snapshot(context, state)
        return Reject(f"the recovery into {green} failed and left {found:,} points: {error}")
    return _try_later(context, state, error)


def _end_unreadable_green(
    context: StepContext, state: FillState, error: Refused | Unavailable
) -> Outcome:
    """Green cannot be read or filled after a failed recovery until it is made again. Another one
    may succeed; if the server refused it, or half of the patience is gone, the deployment ends, and
    the next ones are filled in another way."""
    green = context.deployment.green
    bound = context.deployment.spec.progress_deadline_seconds
    if isinstance(error, Unavailable) and 2 * context.waited <= bound:
        raise error
    lost_answers.remember(context, f"the recovery into {green}", str(error))
    _drop_source_snapshot(context, state)
    return Reject(
        f"the recovery into {green} failed, and {green} cannot be read since: {error}. Deploy again"
        f"{lost_answers.describe_consequence(context)}"
    )


def _resume_recovery(context: StepContext, state: FillState) -> Outcome:
    if not state.snapshot:
        return _await_old_recovery(context, state)
    return _await_recovery(context, state, "its worker died or was stopped meanwhile")


def _resume_lost_recovery(context: StepContext, state: FillState) -> Outcome:
    return _await_recovery(context, state, "the connection was lost")


def _await_recovery(context: StepContext, state: FillState, why: str) -> Outcome:
    """Waits for a recovery whose answer is lost. A single shard is exchanged at once: green has no
    point before, and all of them after it (measured on 1.16.3, also if the client has gone). Nobody
    can tell that of several shards."""
    has_one_shard = context.services.store.schema(state.cloned)["params"].get("shard_number") == 1
    found = 0
    if has_one_shard:
        found = _count_recovered(context)
    if found and found == state.found:
        context.save(replace(state, phase="recovered"))
        return Wait(0, f"{state.snapshot} recovered")
    bound = context.deployment.spec.progress_deadline_seconds
    if not has_one_shard or context.waited + _LOOK_SECONDS >= bound:
        if state.phase == "lost":
            lost_answers.remember(context, f"the recovery into {context.deployment.green}", why)
        return _reject_unanswered(context, state, why)
    context.save(replace(state, found=found))
    told = f"the server's answer to the recovery is lost: {why}; waiting for its points"
    return Wait(_LOOK_SECONDS, told, progress=bool(found))


def _await_old_recovery(context: StepContext, state: FillState) -> Outcome:
    """Ends what the release before has begun: it asked for a recovery without waiting for the
    answer. It is over when two looks in a row find the same number of points, and the source had
    that number while the snapshot was made. Nobody knows surely whose the snapshot is, so it stays.
    """
    found = _count_recovered(context)
    off = 0.0
    if context.deployment.spec.writes.leads_live:
        off = 0.1 * state.high
    if found == state.found and state.low - off <= found <= state.high + off:
        return _end_recovery(context, replace(state, unnamed=1, cloned=_source_collection(context)))
    context.save(replace(state, found=found))
    told = f"recovering: {found:,} of {state.high:,} points"
    return Wait(_LOOK_SECONDS, told, progress=found != state.found)


def _reject_unanswered(context: StepContext, state: FillState, why: str) -> Outcome:
    """Ends the deployment. The server does not say whether a recovery is still to come, and one
    that comes later would replace what was written to green since, in silence."""
    _drop_source_snapshot(context, state)
    green = context.deployment.green
    return Reject(
        f"the server's answer to the recovery of a snapshot into {green} is lost: {why}. It may "
        f"still replace all points of {green}, so {green} is not used; deploy again"
        f"{lost_answers.describe_consequence(context)}. {describe_late_recovery(context)}"
    )


def _end_recovery(context: StepContext, state: FillState) -> Outcome:
    found = context.services.store.count(context.deployment.green)
    _drop_source_snapshot(context, state)
    progress = Progress(done=found, size=found, unit="points")
    context.save(
        replace(
            state,
            phase=CLONED,
            filled=state.way != DELTA,
            written=found,
            expected=found,
            progress=progress,
        )
    )
    return Wait(0, f"{found:,} points recovered")


def _drop_source_snapshot(context: StepContext, state: FillState) -> str:
    """Removes the snapshot whose name the server has told us, and returns what was done. If the
    collection was dropped, its snapshot is gone too."""
    store = context.services.store
    if not state.snapshot or state.cloned not in store.collections():
        return ""
    store.drop_snapshot(state.cloned, state.snapshot)
    return f"snapshot {state.snapshot} dropped"


def _fill_otherwise(context: StepContext, state: FillState, why: str) -> Outcome:
    """Changes to a way that needs no snapshot; green is still empty. A server that cannot fetch its
    own snapshot (because of a proxy, or another host name inside its network) can still be
    copied."""
    _drop_source_snapshot(context, state)
    if state.way == DELTA:
        return fill_from_all(context, state, f"{state.cloned} could not be cloned: {why}")
    copying = FillState(
        way="copy",
        fingerprint=state.fingerprint,
        note=f"not by snapshot: {why}",
        cloned=state.cloned,
        unnamed=state.unnamed,
    )
    slicing.begin_filling(context, copying)
    return Wait(0, f"copying instead, no snapshot could be recovered: {why}")


def fill_from_all(context: StepContext, state: FillState, why: str) -> Outcome:
    """Changes to filling green, which is empty, from all records of the source."""
    note = f"not by delta: {why}"
    begun = FillState(
        way="records",
        fingerprint=state.fingerprint,
        begun=state.begun,
        left_out=state.left_out,
        note=note,
        cloned=state.cloned,
        unnamed=state.unnamed,
    )
    slicing.begin_filling(context, begun)
    # After the state: whoever repeats the decision needs what it was made from.
    with context.services.sessions.begin() as session:
        context.turn.fence(session)
        forget_seen(session, context.deployment.id)
    return Wait(0, f"filling by records; {note}")


def _source_collection(context: StepContext) -> str:
    blue = context.deployment.blue
    if blue is not None and context.load(FillState).way == DELTA:
        return blue
    collection = reading.open_deployment_source(context).collection
    if collection is None:
        raise Refused(f"{context.deployment.source} is not a collection")
    return collection


#: Phases in which a recovery may still come.
_UNANSWERED = ("recovering", "lost")
_PHASES = {
    "": _make_snapshot,
    "asking": _make_snapshot,
    "made": _recover_snapshot,
    "recovering": _resume_recovery,
    "lost": _resume_lost_recovery,
    "recovered": _end_recovery,
}
