"""Filling green from a collection whose vectors need no change: a stream of raw points, or a snapshot."""

import time

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.deployments.plan import Done, Outcome, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import pieces, reading
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import PointId, State

_CHECK_SECONDS = 1.0


def copy_points(context: StepContext) -> Outcome:
    """One slice of the stream, in pieces. A piece repeated after a crash writes the same points again."""
    deployment = context.deployment
    services = context.services
    state = dict(context.state)
    source = _source_collection(context)
    size = estimate_points(services.store, source)
    before = int(state.get("written", 0))
    started = time.monotonic()

    def piece(seconds: float) -> bool:
        position: PointId | None = state.get("position")
        copied, position = services.store.copy(source, deployment.green, position, seconds)
        state["written"] = state["expected"] = int(state.get("written", 0)) + copied
        state["position"], state["filled"] = position, position is None
        rate = (state["written"] - before) / max(time.monotonic() - started, 1e-6)
        state["progress"] = {"done": state["written"], "size": size, "unit": "points", "rate": round(rate, 1)}
        return position is not None

    pieces.work(context, state, piece)
    return Wait(0, f"{state['written']:,} of {size:,} points copied, {state['progress']['rate']:,.0f}/s")


def copy_by_snapshot(context: StepContext) -> Outcome:
    """Snapshot of the source, recovered into the empty green: started in one turn, looked at in the next."""
    return _PHASES[context.state.get("phase", "ask")](context, dict(context.state))


def drop_own_snapshot(context: StepContext) -> Outcome:
    return Done({"summary": _drop_source_snapshot(context, context.state)})


def _remember_snapshots(context: StepContext, state: State) -> Outcome:
    store = context.services.store
    source = _source_collection(context)
    try:
        state.update(phase="asking", known=sorted(store.snapshots(source)), low=store.count(source))
    except Refused as error:
        return _copy_instead(context, state, str(error))
    context.turn.save(state)
    return _start_source_snapshot(context, state)


def _start_source_snapshot(context: StepContext, state: State) -> Outcome:
    """Met again only after a crash around the request: a snapshot that has appeared since is taken for ours."""
    source = _source_collection(context)
    if not _new_source_snapshots(context, state):
        context.services.store.start_snapshot(source, state["known"])
    context.turn.save({**state, "phase": "made"})
    return Wait(_CHECK_SECONDS, f"snapshot of {source} asked for")


def _start_recovery(context: StepContext, state: State) -> Outcome:
    fresh = _new_source_snapshots(context, state)
    if not fresh:
        return Wait(_CHECK_SECONDS, f"waiting for the snapshot of {_source_collection(context)}", progress=False)
    low, high = sorted((int(state["low"]), context.services.store.count(_source_collection(context))))
    state.update(snapshot=fresh[-1], own=len(fresh) == 1, low=low, high=high)
    try:
        context.services.store.start_recovery(context.deployment.green, _source_collection(context), fresh[-1])
    except Refused as error:
        return _copy_instead(context, state, str(error))
    context.turn.save({**state, "phase": "recovering"})
    return Wait(_CHECK_SECONDS, f"recovering {fresh[-1]}")


def _await_recovery(context: StepContext, state: State) -> Outcome:
    """Filled when two looks in a row show a count that the source had while the snapshot was made."""
    found = context.services.store.count(context.deployment.green)
    moved = found != state.get("found")
    state["found"] = found
    if moved or not state["low"] <= found <= state["high"]:
        context.turn.save(state)
        return Wait(_CHECK_SECONDS, f"recovering: {found:,} of {state['high']:,} points", progress=moved)
    _drop_source_snapshot(context, state)
    state.update(filled=True, written=found, expected=found)
    state["progress"] = {"done": found, "size": found, "unit": "points"}
    context.turn.save(state)
    return Wait(0, f"{found:,} points recovered")


def _new_source_snapshots(context: StepContext, state: State) -> list[str]:
    return sorted(context.services.store.snapshots(_source_collection(context)) - set(state["known"]))


def _drop_source_snapshot(context: StepContext, state: State) -> str:
    """Removes the snapshot this deployment made and names it; one that might be somebody else's stays, and one whose
    collection was dropped is gone with it."""
    name = str(state.get("snapshot", ""))
    store = context.services.store
    if not name or not state.get("own") or _source_collection(context) not in store.collections():
        return ""
    store.drop_snapshot(_source_collection(context), name)
    return f"snapshot {name} dropped"


def _copy_instead(context: StepContext, state: State, why: str) -> Outcome:
    """A server that cannot fetch its own snapshot (a proxy, another name inside its network) still can be copied."""
    _drop_source_snapshot(context, state)
    context.turn.save({"way": "copy", "print": state["print"], "note": f"snapshot not recovered: {why}"})
    return Wait(0, f"copying instead, the snapshot could not be recovered: {why}")


def _source_collection(context: StepContext) -> str:
    collection = reading.open_deployment_source(context).collection
    if collection is None:
        raise Refused(f"{context.deployment.source} is not a collection")
    return collection


_PHASES = {
    "ask": _remember_snapshots,
    "asking": _start_source_snapshot,
    "made": _start_recovery,
    "recovering": _await_recovery,
}
