"""The end of a pass over the source: what is gone from it is deleted.

Rule: the ids that a pass has met are merged, and green keeps exactly these. A source that has lost
most of its records may be broken, so the losses are counted before anything is deleted.
"""

from collections.abc import Sequence
from dataclasses import replace

from qdrant_rollouts.core.collections.records import read_mark
from qdrant_rollouts.core.collections.seen import (
    RANGES_AT_ONCE,
    count_ranges,
    load_known,
    merge_range,
)
from qdrant_rollouts.core.deployments.steps.data import RoundState
from qdrant_rollouts.core.deployments.steps.losses import are_many_gone
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn, do_pages
from qdrant_rollouts.core.deployments.steps.source_reader import Reader, begin_pass
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Point, PointId

_PAGE_IDS = 4096


class TooManyGone(Refused):
    """So much is gone from the source that it may be broken."""


def merge_met(reader: Reader, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
    """Counts the ids that were met. The pass is over if green has exactly these."""
    context = reader.context
    name = context.deployment.id
    with context.services.sessions() as session:
        ranges = count_ranges(session, name, current.read)
    while True:
        with context.services.sessions.begin() as session:
            context.turn.fence(session)
            merged = merge_range(session, name, current.read, current.part, ranges, keep=True)
        if merged.repeated and reader.fills:
            raise Refused(
                f"{merged.repeated:,} ids are in {context.deployment.source} more than once and "
                "were not when it was read before: it changed while it was being read; deploy again"
            )
        current = replace(current, part=current.part + 1, met=current.met + merged.ids)
        if current.part == ranges:
            return _end_merging(reader, current)
        if not goes_on():
            return current, True


def _end_merging(reader: Reader, current: RoundState) -> tuple[RoundState, bool]:
    context = reader.context
    if not current.met:
        raise Refused(f"{context.deployment.source} gave no record when it was read again")
    same = context.services.store.count(context.deployment.green) == current.met
    if same and current.since is None:
        return replace(current, phase="over", part=0), False
    found = replace(current, phase="finding", position=None, part=0)
    if reader.fills:  # whoever fills green judges the losses afterwards
        return replace(found, phase="removing"), True
    return found, True


def find_gone(reader: Reader, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
    """Counts before anything is deleted: a source that has lost most of its records may be
    broken."""
    current, more = _scroll_gone(reader, current, goes_on, delete=False)
    if more:
        return current, True
    points = reader.context.services.store.count(reader.context.deployment.green)
    if are_many_gone(current.deleted, points):
        raise TooManyGone(
            f"{current.deleted:,} of {points:,} records are gone from "
            f"{reader.context.deployment.source} since it was read first"
        )
    if not current.deleted:
        return _end_pass(reader, current)
    return replace(current, phase="removing", deleted=0, part=0), True


def remove_gone(reader: Reader, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
    current, more = _scroll_gone(reader, current, goes_on, delete=True)
    if more:
        return current, True
    return _end_pass(reader, current)


def _end_pass(reader: Reader, current: RoundState) -> tuple[RoundState, bool]:
    """Returns the pass, which is over unless green lacks a record. Such a record is new and its
    time is too old, so it was not among the changed ones, and everything is read."""
    context = reader.context
    if (
        current.since is not None
        and context.services.store.count(context.deployment.green) < current.met
    ):
        again = begin_pass(reader)
        return replace(
            again, seconds=current.seconds, made=current.made, deleted=current.deleted
        ), True
    return replace(current, phase="over", part=0), False


def _scroll_gone(
    reader: Reader, current: RoundState, goes_on: GoesOn, *, delete: bool
) -> tuple[RoundState, bool]:
    """Goes over green's points once for each group of ranges that fits into memory. Returns the
    pass with the points in it that the source has no longer, and whether there is more to go
    over."""
    context = reader.context
    store = context.services.store
    green = context.deployment.green
    with context.services.sessions() as session:
        ranges = count_ranges(session, context.deployment.id, current.read)
        known = load_known(session, context.deployment.id, current.part, ranges)

    def find_next(current: RoundState) -> tuple[RoundState, bool]:
        store.pace(green)
        page, position = store.scroll(
            green, current.position, _PAGE_IDS, vectors=False, payload=False
        )
        gone = known.find_unknown([point.id for point in page])
        if reader.serving:
            gone = _keep_own(store.fetch(green, gone, vectors=False))
        if delete and gone:
            context.turn.check(0)
            store.delete(green, gone)
        moved = replace(current, deleted=current.deleted + len(gone), position=position)
        return moved, position is not None

    current, more = do_pages(current, find_next, goes_on)
    if not more:
        current = replace(current, part=current.part + RANGES_AT_ONCE)
    return current, more or current.part < ranges


def _keep_own(points: Sequence[Point]) -> list[PointId]:
    """Returns the ids of points that this program made."""
    return [point.id for point in points if read_mark(point.payload)]
