"""Looks, after the switch, for writes that went to blue around it, and brings them to green.

Rule: a point that was written on green is never written over. Whatever cannot be told apart stays
as it is on green and is listed.
"""

from collections.abc import Callable
from dataclasses import replace

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.merging import BucketDigests, bucket_of, compare_page
from qdrant_rollouts.core.collections.records import read_mark
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps import (
    catch_up,
    comparing,
    reading,
    rereading,
    source_reader,
)
from qdrant_rollouts.core.deployments.steps.data import (
    DELTA,
    CaughtUp,
    LateState,
    RoundState,
    Switched,
)
from qdrant_rollouts.core.deployments.steps.followers import Follower, apply_changes
from qdrant_rollouts.core.deployments.steps.listed_ids import join_ids, keep_first
from qdrant_rollouts.core.deployments.steps.pieces import do_pages, limit_to
from qdrant_rollouts.core.errors import Limited
from qdrant_rollouts.core.ports import Point, PointId

OVER = "over"
_PAGE_POINTS = 1024


def begin_search(context: StepContext) -> LateState:
    """Returns where the search begins; it is over at once if there is nothing to look for."""
    return LateState(phase=_first_phase(context))


def search_on(context: StepContext, late: LateState, seconds: float) -> LateState:
    """Goes on with the search until it is over, for about ``seconds``, or until a rate limit allows
    no more of it. Raises Limited if it allows nothing."""
    goes_on = limit_to(seconds)
    begun = late
    while late.phase != OVER:
        try:
            late = replace(_PHASES[late.phase](context, late, seconds), fault="")
        except Limited:
            if late is begun:
                raise
            return late
        if not goes_on():
            return late
    return late


def describe_found(late: LateState) -> str:
    """Returns what was found, in words; empty if nothing was."""
    words = []
    if late.fault:
        words.append(f"late writes were not looked for: {late.fault}")
    if late.healed:
        words.append(f"{late.healed:,} late writes brought over")
    if late.both:
        words.append(f"{late.both:,} points were written on both sides and stay as they are")
    if late.ids:
        words.append(f"ids {join_ids(late.ids)}")
    return "; ".join(words)


def _first_phase(context: StepContext) -> str:
    deployment = context.deployment
    if not deployment.spec.writes.follows:
        return OVER
    if deployment.spec.writes.way == "compare":
        if deployment.blue is not None and _known_digests(context):
            return "scan"
        return OVER
    caught_up = context.outputs.find(CaughtUp)
    if caught_up is None or catch_up.has_leader(context):
        return OVER
    now = reading.open_deployment_source(context).fingerprint()
    if now is not None and now == caught_up.fingerprint:
        return OVER
    return "read"


def _known_digests(context: StepContext) -> str:
    """Returns blue's digests when both were equal: in the fence, or in the last comparison before
    the switch if there was no fence."""
    switched = context.outputs.find(Switched)
    if switched is not None and switched.leader:
        return switched.leader
    caught_up = context.outputs.find(CaughtUp)
    return caught_up.leader if caught_up is not None else ""


# --- compared -------------------------------------------------------------------------------------


def _scan_blue(context: StepContext, late: LateState, seconds: float) -> LateState:
    """Reads blue again; buckets that are as they were need no comparison."""
    store = context.services.store
    side = comparing.open_follower(context).leading
    seen = BucketDigests(late.leader)

    def scan(late: LateState) -> tuple[LateState, bool]:
        store.pace(side.collection)
        page, position = store.scroll(
            side.collection, late.position, _PAGE_POINTS, vectors=side.vectors
        )
        seen.add({point.id: side.digest(point) for point in page})
        return replace(late, position=position), position is not None

    late, more = do_pages(late, scan, limit_to(seconds))
    late = replace(late, leader=seen.as_text())
    if more:
        return late
    changed = seen.differing(BucketDigests(_known_digests(context)))
    phase = "heal" if changed else OVER
    return replace(late, phase=phase, leader="", buckets=sorted(changed))


def _heal_green(context: StepContext, late: LateState, seconds: float) -> LateState:
    store = context.services.store
    follower = comparing.open_follower(context)
    buckets = set(late.buckets)

    def heal(late: LateState) -> tuple[LateState, bool]:
        store.pace(follower.leading.collection)
        found = compare_page(store, follower.leading, follower.following, late.position)
        ids = [id for id in found.ids if bucket_of(id) in buckets]
        late = _heal_page(context, follower, late, ids)
        return replace(late, position=found.following), found.following is not None

    late, more = do_pages(late, heal, limit_to(seconds))
    return late if more else replace(late, phase=OVER, buckets=())


def _heal_page(
    context: StepContext, follower: Follower, late: LateState, ids: list[PointId]
) -> LateState:
    """Brings over the points that nobody wrote on green. Only points that were made from records
    show that."""
    if not ids:
        return late
    store = context.services.store
    filled = context.outputs.find(Filling)
    ours = store.fetch(follower.following.collection, ids, vectors=True)
    marked = filled is not None and filled.way in (None, "records", DELTA)
    there = {point.id for point in ours}
    untouched = {point.id for point in ours if marked and _is_untouched(follower, point)}
    healing = [id for id in ids if id in untouched or (marked and id not in there)]
    both = [id for id in ids if id not in healing]
    context.turn.check(0)
    apply_changes(store, follower, healing)
    return replace(
        late,
        healed=late.healed + len(healing),
        both=late.both + len(both),
        ids=keep_first(late.ids, both, healing),
    )


def _is_untouched(follower: Follower, point: Point) -> bool:
    """Returns whether green's point is as it was made. What an application writes has no mark, or
    another payload than the mark says."""
    made_from = read_mark(point.payload).get("from")
    return bool(made_from) and made_from == follower.leading.digest(point)


# --- read again -----------------------------------------------------------------------------------


def _read_source(context: StepContext, late: LateState, seconds: float) -> LateState:
    """Reads the source once more, because it may have changed since the last pass."""
    reader = source_reader.open_reader(context, serving=True)
    begun: RoundState = late.round or source_reader.begin_pass(reader)
    current, more = rereading.read_piece(reader, begun, seconds)
    if more:
        return replace(late, round=current)
    return replace(late, phase=OVER, round=None, healed=current.made + current.deleted)


_PHASES: dict[str, Callable[[StepContext, LateState, float], LateState]] = {
    "scan": _scan_blue,
    "heal": _heal_green,
    "read": _read_source,
}
