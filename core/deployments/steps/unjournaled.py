"""Finds what was written around the journal, by applications that do not use our clients.

Rule: a point that differs although no row of it is left was written by nobody that the journal
knows. Rows are read after both points were, and only this turn retires rows, so a write of a moment
ago always has one.
"""

from collections.abc import Sequence
from dataclasses import replace

from qdrant_rollouts.core.collections.merging import compare_page
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps import journaled
from qdrant_rollouts.core.deployments.steps.data import RoundState
from qdrant_rollouts.core.deployments.steps.followers import Follower
from qdrant_rollouts.core.deployments.steps.journaled import Work
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn, do_pages
from qdrant_rollouts.core.journal import rebuilding
from qdrant_rollouts.core.ports import PointId


def look_on(
    context: StepContext, work: Work, look: RoundState, goes_on: GoesOn
) -> tuple[RoundState, list[PointId], bool]:
    """Compares pages, as long as ``do_pages`` does, and brings over what was written around the
    journal. Returns how far it is (``made`` counts what was found), the ids that were
    found now, and whether there is more to compare."""
    store = context.services.store
    follower = work.follower
    listed: list[PointId] = []

    def compare_on(look: RoundState) -> tuple[RoundState, bool]:
        store.pace(follower.leading.collection)
        found = compare_page(store, follower.leading, follower.following, look.position)
        ids, count = _bring_over_foreign(context, work, found.ids, goes_on)
        listed.extend(ids)
        moved = replace(
            look,
            position=found.following,
            checked=look.checked + found.checked,
            made=look.made + count,
        )
        return moved, found.following is not None

    look, more = do_pages(look, compare_on, goes_on)
    return look, listed, more


def _bring_over_foreign(
    context: StepContext, work: Work, differing: Sequence[PointId], goes_on: GoesOn
) -> tuple[list[PointId], int]:
    """Returns which of these points were written around the journal, and how many of them could be
    brought over."""
    if not differing:
        return [], 0
    journaled.follow_piece(work, RoundState(), goes_on)
    still = _list_differing(context, work.follower, differing)
    left = set(rebuilding.list_left(context.services, context.deployment.alias))
    foreign = [id for id in still if id not in left]
    if not foreign:
        return [], 0
    count = journaled.bring_over(context, work.follower, foreign, deletes=True)
    return (foreign if count else []), count


def _list_differing(
    context: StepContext, follower: Follower, ids: Sequence[PointId]
) -> list[PointId]:
    sides = [follower.leading, follower.following]
    digests = []
    for side in sides:
        points = context.services.store.fetch(side.collection, ids, vectors=side.vectors)
        digests.append({point.id: side.digest(point) for point in points})
    leading, following = digests
    return [id for id in ids if leading.get(id) != following.get(id)]
