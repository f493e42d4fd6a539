"""Fills green from a collection whose vectors need no change: by a stream of raw points, or by a
snapshot."""

import time
from dataclasses import replace

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.seen import forget_seen, name_look
from qdrant_rollouts.core.database.step_data import Progress, StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import pieces, reading
from qdrant_rollouts.core.deployments.steps.data import FillState
from qdrant_rollouts.core.errors import Refused

#: The way in which green is a clone of blue and not of its source.
DELTA = "delta"
#: The phase after the clone is complete.
CLONED = "cloned"
_CHECK_SECONDS = 1.0
#: By which share the number of points may be off if applications write to the source meanwhile.
_OFF_UNDER_WRITES = 0.1


def copy_points(context: StepContext) -> Outcome:
    """Copies one slice of the stream, in pieces. A piece that is repeated after a crash writes the
    same points again."""
    deployment = context.deployment
    services = context.services
    source = _source_collection(context)
    size = estimate_points(services.store, source)
    begun = context.load(FillState)
    started = time.monotonic()
    rate = 0.0

    def copy(state: FillState, seconds: float) -> tuple[FillState, bool]:
        nonlocal rate
        copied, position = services.store.copy(source, deployment.green, state.position, seconds)
        written = (state.written or 0) + copied
        rate = round((written - (begun.written or 0)) / max(time.monotonic() - started, 1e-6), 1)
        progress = Progress(done=written, size=size, unit="points", rate=rate)
        moved = replace(
            state, written=written, expected=written, position=position, progress=progress
        )
        return replace(moved, filled=position is None), position is not None

    state = pieces.work(context, begun, copy)
    return Wait(0, f"{state.written:,} of {size:,} points copied, {rate:,.0f}/s")


def copy_by_snapshot(context: StepContext) -> Outcome:
    """Takes a snapshot of the source and recovers it into the empty green. One turn starts it, and
    the next turn checks it."""
    state = context.load(FillState)
    return _PHASES[state.phase](context, state)


def drop_own_snapshot(context: StepContext) -> Outcome:
    return Done(StepOutput(summary=_drop_source_snapshot(context, context.load(FillState))))


def _remember_snapshots(context: StepContext, state: FillState) -> Outcome:
    store = context.services.store
    source = _source_collection(context)
    try:
        known = sorted(store.snapshots(source))
        asked = replace(state, phase="asking", known=known, low=store.count(source))
    except Refused as error:
        return _copy_instead(context, state, str(error))
    context.save(asked)
    return _start_source_snapshot(context, asked)


def _start_source_snapshot(context: StepContext, state: FillState) -> Outcome:
    """Runs again only after a crash near the request. A snapshot that has appeared since then
    counts as ours."""
    source = _source_collection(context)
    if not _new_source_snapshots(context, state):
        context.services.store.start_snapshot(source, list(state.known))
    context.save(replace(state, phase="made"))
    return Wait(_CHECK_SECONDS, f"snapshot of {source} asked for")


def _start_recovery(context: StepContext, state: FillState) -> Outcome:
    fresh = _new_source_snapshots(context, state)
    if not fresh:
        return Wait(
            _CHECK_SECONDS,
            f"waiting for the snapshot of {_source_collection(context)}",
            progress=False,
        )
    low, high = sorted((state.low or 0, context.services.store.count(_source_collection(context))))
    asked = state.asked + 1
    state = replace(state, snapshot=fresh[-1], own=len(fresh) == 1, low=low, high=high, asked=asked)
    context.save(state)
    try:
        context.services.store.start_recovery(
            context.deployment.green, _source_collection(context), fresh[-1]
        )
    except Refused as error:
        return _copy_instead(context, state, str(error))
    context.save(replace(state, phase="recovering"))
    return Wait(_CHECK_SECONDS, f"recovering {fresh[-1]}")


def _await_recovery(context: StepContext, state: FillState) -> Outcome:
    """Ends the cloning when two looks in a row find the same number of points, and the source had
    that number while the snapshot was made. If the source is written to meanwhile, the number is
    only about right, and the comparison that follows finds every difference."""
    found = context.services.store.count(context.deployment.green)
    moved = found != state.found
    state = replace(state, found=found)
    high = state.high or 0
    may_be_written = state.way == DELTA or context.deployment.spec.writes.leads_live
    off = _OFF_UNDER_WRITES * high if may_be_written else 0
    if moved or not (state.low or 0) - off <= found <= high + off:
        context.save(state)
        return Wait(_CHECK_SECONDS, f"recovering: {found:,} of {high:,} points", progress=moved)
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


def _new_source_snapshots(context: StepContext, state: FillState) -> list[str]:
    return sorted(context.services.store.snapshots(_source_collection(context)) - set(state.known))


def _drop_source_snapshot(context: StepContext, state: FillState) -> str:
    """Removes the snapshot that this deployment made, and returns its name. A snapshot that may
    belong to others stays. If the collection was dropped, its snapshot is gone too."""
    name = state.snapshot
    store = context.services.store
    if not name or not state.own or _source_collection(context) not in store.collections():
        return ""
    store.drop_snapshot(_source_collection(context), name)
    return f"snapshot {name} dropped"


def _copy_instead(context: StepContext, state: FillState, why: str) -> Outcome:
    """Changes to copying. A server that cannot fetch its own snapshot (because of a proxy, or
    another host name inside its network) can still be copied."""
    _drop_source_snapshot(context, state)
    if state.way == DELTA:
        return fill_from_all(context, state, f"the snapshot could not be recovered: {why}")
    note = f"snapshot not recovered: {why}"
    context.save(FillState(way="copy", fingerprint=state.fingerprint, note=note))
    return Wait(0, f"copying instead, the snapshot could not be recovered: {why}")


def fill_from_all(context: StepContext, state: FillState, why: str) -> Outcome:
    """Changes to filling green, which is empty, from all records of the source."""
    note = f"not by delta: {why}"
    with context.services.sessions.begin() as session:
        context.turn.fence(session)
        forget_seen(session, name_look(context.deployment.id))
    context.save(
        FillState(
            way="records",
            fingerprint=state.fingerprint,
            begun=state.begun,
            left_out=state.left_out,
            note=note,
        )
    )
    return Wait(0, f"filling by records; {note}")


def _source_collection(context: StepContext) -> str:
    blue = context.deployment.blue
    if blue is not None and context.load(FillState).way == DELTA:
        return blue
    collection = reading.open_deployment_source(context).collection
    if collection is None:
        raise Refused(f"{context.deployment.source} is not a collection")
    return collection


_PHASES = {
    "": _remember_snapshots,
    "asking": _start_source_snapshot,
    "made": _start_recovery,
    "recovering": _await_recovery,
}
