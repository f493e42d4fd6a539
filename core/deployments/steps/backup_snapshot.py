"""The snapshot of a backup, on the server.

The step remembers facts about the content (count, settings, a sample of points) before and after
the snapshot. Only what is the same both times is surely in the snapshot.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from qdrant_rollouts.core.collections import digests
from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import pieces
from qdrant_rollouts.core.deployments.steps.backup_data import SnapshotState, TakenSnapshot
from qdrant_rollouts.core.ports import PointId, Schema
from qdrant_rollouts.core.statistics.sampling import offer_id
from qdrant_rollouts.core.times import as_iso

_CHECK_SECONDS = 1.0
_PAGE_POINTS = 4096
_SAMPLE_SIZE = 300
#: How often a step looks for the result of an interrupted request, before it counts the request as
#: lost.
PATIENCE_CHECKS = 15
#: Phases in which a snapshot may have been requested.
_ASKED = ("asking", "made")


@dataclass(frozen=True, slots=True)
class _FreshSnapshots:
    """Snapshots that have appeared since the request. ``own``: none of them can belong to
    others."""

    names: list[str]
    own: bool


@dataclass(frozen=True, slots=True)
class _ContentFacts:
    """Facts about the content of a collection. ``points``: ids with their digests."""

    at: str
    schema: Schema
    metadata: dict[str, Any]
    count: int
    points: list[list[Any]]

    def as_fields(self) -> dict[str, Any]:
        """Returns the facts under the names of ``SnapshotState``."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


def take_snapshot(context: StepContext) -> Outcome:
    """Takes the snapshot: one turn starts it, and the next turn checks it. Safe to run twice: a
    snapshot that has appeared since the request counts as this one."""
    state = context.load(SnapshotState)
    return _PHASES[state.phase](context, state)


def drop_snapshot(context: StepContext) -> Outcome:
    """Removes the snapshot if it is ours. If it was requested and does not exist yet, the step
    waits for it for a limited time."""
    state = context.load(SnapshotState)
    names = state.snapshots or _find_own_snapshots(context, state)
    if state.phase in _ASKED and not names and state.undo_looks < PATIENCE_CHECKS:
        context.save(replace(state, undo_looks=state.undo_looks + 1))
        return Wait(_CHECK_SECONDS, "waiting for the snapshot that was asked for, to remove it")
    return Done(StepOutput(summary=remove_snapshots(context, names, own=state.own is not False)))


def _scan_points(context: StepContext, state: SnapshotState) -> Outcome:
    """Chooses the points to remember. Every id has the same chance."""
    store = context.services.store
    collection = context.deployment.green
    sample = [list(one) for one in state.sample]

    def scan(state: SnapshotState, seconds: float) -> tuple[SnapshotState, bool]:
        ends = time.monotonic() + seconds
        while not state.scanned:
            store.pace(collection)
            points, after = store.scroll(
                collection, state.after, _PAGE_POINTS, vectors=False, payload=False
            )
            for point in points:
                offer_id(sample, _SAMPLE_SIZE, 0, point.id)
            scanned = after is None
            state = replace(
                state,
                after=after,
                scanned=scanned,
                sample=sample,
                phase="ask" if scanned else "scan",
            )
            if time.monotonic() >= ends:
                break
        return state, not state.scanned

    pieces.work(context, state, scan)
    return Wait(0, "choosing the points to remember")


def _remember_content(context: StepContext, state: SnapshotState) -> Outcome:
    store = context.services.store
    collection = context.deployment.green
    facts = _read_content_facts(context, [id for _, id, _ in state.sample])
    known = sorted(store.snapshots(collection))
    state = replace(state, sample=(), **facts.as_fields(), phase="asking", known=known)
    context.save(state)
    return _start_snapshot(context, state)


def _start_snapshot(context: StepContext, state: SnapshotState) -> Outcome:
    context.turn.check(ACT_SECONDS)
    context.services.store.start_snapshot(context.deployment.green, list(state.known))
    context.save(replace(state, phase="made"))
    return Wait(_CHECK_SECONDS, f"snapshot of {context.deployment.green} asked for")


def _resume_snapshot(context: StepContext, state: SnapshotState) -> Outcome:
    """Continues after a crash near the request. It waits for the result of the earlier request
    before it requests a snapshot again: of two snapshots, nobody could say whose they are, and both
    would stay."""
    if _find_new_snapshots(context, state) is None and state.looks < PATIENCE_CHECKS:
        context.save(replace(state, looks=state.looks + 1))
        return Wait(
            _CHECK_SECONDS,
            f"looking whether a snapshot of {context.deployment.green} was asked for",
        )
    return _start_snapshot(context, state)


def _check_snapshot(context: StepContext, state: SnapshotState) -> Outcome:
    fresh = _find_new_snapshots(context, state)
    if fresh is None:
        return Wait(
            _CHECK_SECONDS,
            f"waiting for the snapshot of {context.deployment.green}",
            progress=False,
        )
    context.save(replace(state, snapshots=fresh.names, own=fresh.own))
    now = _read_content_facts(context, [id for id, _ in state.points])
    same = [list(point) for point in state.points if point in now.points]
    if now.schema != state.schema:
        return Reject(
            f"the settings of {context.deployment.green} were changed meanwhile; back it up again"
        )
    if state.points and not same:
        return Reject(
            f"every point of the sample was changed meanwhile; back {context.deployment.green} up "
            "when it is written less"
        )
    low, high = sorted((state.count, now.count))
    return Done(
        TakenSnapshot(
            summary=f"{', '.join(fresh.names)} of {high:,} points",
            snapshots=fresh.names,
            own=fresh.own,
            at=state.at,
            schema=now.schema,
            metadata=dict(state.metadata or {}),
            low=low,
            high=high,
            sample=same,
        )
    )


def _find_new_snapshots(context: StepContext, state: SnapshotState) -> _FreshSnapshots | None:
    """Returns the newest snapshot of each shard; None while one is missing. If there are more
    snapshots than shards, some may belong to others."""
    store = context.services.store
    collection = context.deployment.green
    fresh = _new_snapshot_names(context, state)
    newest = {store.snapshot(collection, name).shard: name for name in fresh}
    parts = store.parts(collection)
    if len(newest) != parts:
        return None
    return _FreshSnapshots(list(newest.values()), own=len(fresh) == parts)


def _read_content_facts(context: StepContext, ids: list[PointId]) -> _ContentFacts:
    services = context.services
    collection = context.deployment.green
    with services.sessions() as session:
        now = services.clock.now(session)
    if ids:
        found = digests.digest_points(services.store.fetch(collection, ids, vectors=True))
    else:
        found = {}
    return _ContentFacts(
        at=as_iso(now),
        schema=services.store.schema(collection),
        metadata=services.store.metadata(collection),
        count=services.store.count(collection),
        points=[[id, found[id]] for id in ids if id in found],
    )


def _new_snapshot_names(context: StepContext, state: SnapshotState) -> list[str]:
    return sorted(context.services.store.snapshots(context.deployment.green) - set(state.known))


def _find_own_snapshots(context: StepContext, state: SnapshotState) -> list[str]:
    """Returns the snapshots that have appeared since the request. If there are more of them than
    shards, it returns none, because some may belong to others."""
    if state.phase not in _ASKED:
        return []
    if context.deployment.green not in context.services.store.collections():
        return []
    fresh = _find_new_snapshots(context, state)
    if fresh is not None and fresh.own:
        return fresh.names
    return []


def remove_snapshots(context: StepContext, names: Sequence[str], *, own: bool) -> str:
    told = ", ".join(names)
    if not names:
        return "there is no snapshot to remove"
    if not own:
        return f"snapshot {told} may belong to others and stays"
    if context.deployment.green in context.services.store.collections():
        for name in names:
            context.services.store.drop_snapshot(context.deployment.green, name)
    return f"snapshot {told} removed from the server"


_PHASES = {
    "": _scan_points,
    "scan": _scan_points,
    "ask": _remember_content,
    "asking": _resume_snapshot,
    "made": _check_snapshot,
}
