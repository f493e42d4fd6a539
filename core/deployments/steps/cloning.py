"""Fills green from a collection whose vectors need no change: by a stream of raw points, or by a
snapshot."""

import time
from dataclasses import replace

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.database.step_data import Progress, StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import pieces, reading, slicing
from qdrant_rollouts.core.deployments.steps.data import FillState
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, PointId

_CHECK_SECONDS = 1.0
#: By which share the number of points may be off if applications write to the source meanwhile.
_OFF_UNDER_WRITES = 0.1


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
    state = replace(state, snapshot=fresh[-1], own=len(fresh) == 1, low=low, high=high)
    try:
        context.services.store.start_recovery(
            context.deployment.green, _source_collection(context), fresh[-1]
        )
    except Refused as error:
        return _copy_instead(context, state, str(error))
    context.save(replace(state, phase="recovering"))
    return Wait(_CHECK_SECONDS, f"recovering {fresh[-1]}")


def _await_recovery(context: StepContext, state: FillState) -> Outcome:
    """Ends the filling when two looks in a row find the same number of points, and the source had
    that number while the snapshot was made. If the source is written to meanwhile, the number is
    only about right, and the comparison that follows finds every difference."""
    found = context.services.store.count(context.deployment.green)
    moved = found != state.found
    state = replace(state, found=found)
    high = state.high or 0
    off = _OFF_UNDER_WRITES * high if context.deployment.spec.writes.leads_live else 0
    if moved or not (state.low or 0) - off <= found <= high + off:
        context.save(state)
        return Wait(_CHECK_SECONDS, f"recovering: {found:,} of {high:,} points", progress=moved)
    _drop_source_snapshot(context, state)
    progress = Progress(done=found, size=found, unit="points")
    context.save(replace(state, filled=True, written=found, expected=found, progress=progress))
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
    note = f"snapshot not recovered: {why}"
    slicing.begin_filling(context, FillState(way="copy", fingerprint=state.fingerprint, note=note))
    return Wait(0, f"copying instead, the snapshot could not be recovered: {why}")


def _source_collection(context: StepContext) -> str:
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
