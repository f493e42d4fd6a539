"""The snapshot of a backup, on the server.

The step remembers facts about the content (count, settings, a sample of points) before and after
the snapshot. Only what is the same both times is surely in the snapshot.

Rule: the server names a snapshot in its answer, when it is made. If that answer is lost, a snapshot
that has appeared since then is read, because it has the content; but it may be of somebody else, so
it is never removed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from qdrant_rollouts.core.collections import digests
from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import pieces
from qdrant_rollouts.core.deployments.steps.backup_data import SnapshotState, TakenSnapshot
from qdrant_rollouts.core.deployments.steps.long import await_answer
from qdrant_rollouts.core.errors import OutcomeUnknown, Unavailable
from qdrant_rollouts.core.ports import PointId, Schema
from qdrant_rollouts.core.statistics.sampling import offer_id
from qdrant_rollouts.core.times import as_iso

_CHECK_SECONDS = 1.0
_PAGE_POINTS = 4096
_SAMPLE_SIZE = 300
#: How often a step looks for the result of an interrupted request, before it counts the request as
#: lost.
PATIENCE_CHECKS = 15


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
    """Takes the snapshot: the server answers when it is made. Safe to run twice: if the answer is
    lost, a snapshot that has appeared since the request is used."""
    state = context.load(SnapshotState)
    return _PHASES[state.phase](context, state)


def drop_snapshot(context: StepContext) -> Outcome:
    """Removes the snapshots that the server has named."""
    state = context.load(SnapshotState)
    told = remove_snapshots(context, state.snapshots, state.foreign, own=state.own is not False)
    return Done(StepOutput(summary="; ".join(filter(None, (told, _describe_lost(context, state))))))


def _describe_lost(context: StepContext, state: SnapshotState) -> str:
    before = state.asked is None and state.phase in ("asking", "made") and not state.snapshots
    if not (state.asked or before or state.unnamed):
        return ""
    return (
        f"a snapshot of {context.deployment.green} was asked for without an answer that names it: "
        "it may be left on the server, look there and remove it if nobody needs it"
    )


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
    state = replace(state, sample=(), **facts.as_fields(), phase="asking", known=known, asked=False)
    context.save(state)
    return _make_snapshots(context, state)


def _make_snapshots(context: StepContext, state: SnapshotState) -> Outcome:
    """Asks for the snapshot of one part after the other, and waits for each answer."""
    store = context.services.store
    collection = context.deployment.green
    seconds = context.deployment.spec.progress_deadline_seconds
    parts = store.parts(collection)
    while len(state.snapshots) < parts:
        part = len(state.snapshots)
        if state.asked:
            return _look_for_lost(context, state)
        state = replace(state, asked=True)
        context.save(state)
        context.turn.check(ACT_SECONDS)
        try:
            made = await_answer(
                context, partial(store.make_snapshot, collection, seconds, part), seconds
            )
        except OutcomeUnknown:
            return _look_for_lost(context, replace(state, lost=True))
        except Unavailable:
            context.save(replace(state, asked=False))
            raise
        if made is None:
            return Wait(0, "nobody waits for the snapshot any longer: an abort is asked for")
        state = replace(state, snapshots=[*state.snapshots, made.name], asked=False, looks=0)
        context.save(state, progress=True)
    context.save(replace(state, phase="made"))
    return Wait(0, f"snapshot of {collection} made")


def _resume_snapshot(context: StepContext, state: SnapshotState) -> Outcome:
    """The release before wrote nowhere but in the phase that it had asked."""
    if state.asked is None:
        state = replace(state, asked=True)
    return _make_snapshots(context, state)


def _look_for_lost(context: StepContext, state: SnapshotState) -> Outcome:
    """Looks for the snapshot of a request whose answer is lost. If the worker died, the server may
    never have been asked; then it is asked again if none appears."""
    store = context.services.store
    collection = context.deployment.green
    of_this_part = (None, len(state.snapshots))
    new = sorted(store.snapshots(collection) - {*state.known, *state.snapshots})
    found = [name for name in new if store.snapshot(collection, name).shard in of_this_part]
    if found:
        name = found[-1]
        state = replace(
            state,
            snapshots=[*state.snapshots, name],
            foreign=[*state.foreign, name],
            asked=False,
            lost=False,
            looks=0,
        )
        context.save(state)
        return Wait(0, f"the answer was lost; snapshot {name} has appeared since")
    if state.looks >= PATIENCE_CHECKS and not state.lost:
        context.save(replace(state, asked=False, looks=0, unnamed=state.unnamed + 1))
        return Wait(0, f"no snapshot of {collection} has appeared, it is asked for again", False)
    context.save(replace(state, looks=state.looks + 1))
    return Wait(
        _CHECK_SECONDS, f"looking whether a snapshot of {collection} was made", progress=False
    )


def _check_snapshot(context: StepContext, state: SnapshotState) -> Outcome:
    if not state.snapshots:  # the release before did not wait for an answer
        asked = replace(state, phase="asking", asked=True, looks=0)
        context.save(asked)
        return _make_snapshots(context, asked)
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
    taken = f"{', '.join(state.snapshots)} of {high:,} points"
    return Done(
        TakenSnapshot(
            summary="; ".join(filter(None, (taken, _describe_lost(context, state)))),
            snapshots=list(state.snapshots),
            own=not state.foreign,
            foreign=list(state.foreign),
            at=state.at,
            schema=now.schema,
            metadata=dict(state.metadata or {}),
            low=low,
            high=high,
            sample=same,
        )
    )


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


def remove_snapshots(
    context: StepContext, names: Sequence[str], foreign: Sequence[str], *, own: bool
) -> str:
    """Removes those of ``names`` that are not ``foreign``; none of them if they are not surely our
    ``own`` and nobody knows which are. Returns what was done."""
    mine = [name for name in names if name not in foreign and (own or foreign)]
    others = [name for name in names if name not in mine]
    if mine and context.deployment.green in context.services.store.collections():
        for name in mine:
            context.services.store.drop_snapshot(context.deployment.green, name)
    words = []
    if mine:
        words.append(f"snapshot {', '.join(mine)} removed from the server")
    if others:
        words.append(f"snapshot {', '.join(others)} may belong to others and stays")
    return "; ".join(words) or "there is no snapshot to remove"


_PHASES = {
    "": _scan_points,
    "scan": _scan_points,
    "ask": _remember_content,
    "asking": _resume_snapshot,
    "made": _check_snapshot,
}
