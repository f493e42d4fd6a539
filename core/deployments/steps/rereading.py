"""Catches up with a source that is read again: what has changed in it is made again, and what is
gone from it is deleted.

Rule: a point's mark says what it was made from, so a pass writes only what has changed. The ids
that a pass has met are kept in runs, which are merged at its end (``core.collections.seen``). Then
it is known which records are gone.

The way of filling called delta is such a pass too. There green must have exactly the points that
all records make, so more is compared than the marks (``Reader.fills``).

A source that can tell changes is read in two parts: first all ids, and then the records that have
changed. In this order a record that comes meanwhile is not taken for one that is gone.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from qdrant_rollouts.core.collections.changes import Changes
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import Record, parse_row
from qdrant_rollouts.core.collections.seen import MetIds, find_met, save_piece
from qdrant_rollouts.core.deployments.steps.data import RoundState
from qdrant_rollouts.core.deployments.steps.followers import (
    Written,
    build_points,
    check_bad_records,
    resize_batch,
)
from qdrant_rollouts.core.deployments.steps.gone_records import find_gone, merge_met, remove_gone
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn, do_pages, limit_to
from qdrant_rollouts.core.deployments.steps.point_comparison import Compared, compare_window
from qdrant_rollouts.core.deployments.steps.source_reader import (
    Reader,
    begin_pass,
    read_window,
    resize_window,
    sort_window,
)
from qdrant_rollouts.core.errors import Limited, Refused
from qdrant_rollouts.core.ports import PointId, Row

_ID_ALONE = RecordRules(dense={}, vector_field=None)


def read_piece(reader: Reader, current: RoundState, seconds: float) -> tuple[RoundState, bool]:
    """Works on a pass until its end, or for ``seconds`` from the first row on. Returns the pass,
    and whether there is more of it. A pass over a source that changes meanwhile begins again.
    Raises TooManyGone."""
    started = time.monotonic()
    if reader.source.fingerprint() != current.fingerprint:
        current = begin_pass(reader)
    _go_to_place(reader, current)
    current, more = _PHASES[current.phase](reader, current, limit_to(seconds))
    return replace(current, seconds=current.seconds + time.monotonic() - started), more


def _read_records(reader: Reader, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
    met = MetIds()
    after = current.read

    def read_next(current: RoundState) -> tuple[RoundState, bool]:
        _go_to_place(reader, current)
        window, more = read_window(reader)
        whole = True
        if window:
            current, whole = _take_window(reader, current, window, met, after, goes_on)
        return current, more or not whole

    current, more = do_pages(current, read_next, goes_on)
    _save_met(reader, after, met)
    if more:
        return current, True
    return replace(current, phase="merging", cursor=None, position=None, part=0, met=0), True


def _save_met(reader: Reader, after: int, met: MetIds) -> None:
    context = reader.context
    with context.services.sessions.begin() as session:
        context.turn.fence(session)
        save_piece(session, context.deployment.id, after, met)


def _go_to_place(reader: Reader, current: RoundState) -> None:
    """Opens the rows that the pass reads next; nothing if it has read all."""
    if current.phase == "listing":
        reader.rows.go_to(current.cursor, _need_changes(reader).source.read_ids)
    elif current.phase == "reading":
        read = reader.source.read
        if current.since is not None:
            read = partial(_need_changes(reader).read, current.since)
        reader.rows.go_to(current.cursor, read)


def _need_changes(reader: Reader) -> Changes:
    if reader.changes is None:
        raise Refused(f"{reader.context.deployment.source} cannot tell what has changed")
    return reader.changes


def _list_ids(reader: Reader, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
    """Reads the ids of all records. What is wrong with a record is seen when it is read."""
    met = MetIds()
    after = current.read

    def list_next(current: RoundState) -> tuple[RoundState, bool]:
        _go_to_place(reader, current)
        window, more = read_window(reader)
        for row in window:
            record = parse_row(row, _ID_ALONE)
            if isinstance(record, Record):
                met.add(record.point_id)
        if window:
            current = replace(current, cursor=window[-1].cursor, read=current.read + len(window))
        return current, more

    current, more = do_pages(current, list_next, goes_on)
    _save_met(reader, after, met)
    if more:
        return current, True
    return replace(current, phase="reading", cursor=None), True


def _take_window(
    reader: Reader,
    current: RoundState,
    window: Sequence[Row],
    met: MetIds,
    after: int,
    goes_on: GoesOn,
) -> tuple[RoundState, bool]:
    """Writes the records of a window that have changed. Returns whether these are all. If a slow
    model leaves no time for them, the pass goes on from the first one that was not written.
    ``after``: how many records were read before the piece."""
    started = time.monotonic()
    found = sort_window(reader, window, met, listed=current.since is not None)
    if not reader.fills:
        told = Written(bad=[fault for _, fault in found.bad])
        check_bad_records(told, reader.context.deployment.spec.on_bad_record)
    compared = compare_window(reader, reader.context.deployment.green, found.records)
    if not reader.fills and current.since is None:
        _leave_out_repeated(reader, after, compared)
    made, stopped_at = _write_changed(reader, compared, goes_on)
    size = len(window)
    if stopped_at is not None:
        size = found.places[stopped_at]
        found = found.cut_at(size)
    found.add_met_to(met)
    if reader.fills:
        reader.bad += [fault for _, fault in found.bad]
        reader.gone += len(found.gone)
        reader.vectors.count_kept(
            [kept for kept in compared.kept if kept[0].point_id in found.records]
        )
    resize_window(reader, size, time.monotonic() - started)
    taken = replace(
        current,
        cursor=window[size - 1].cursor,
        read=current.read + size,
        checked=current.checked + len(found.records),
        made=current.made + made,
        bad=current.bad + len(found.bad),
    )
    return taken, stopped_at is None


def _leave_out_repeated(reader: Reader, after: int, compared: Compared) -> None:
    """Leaves out changed records whose id an earlier piece has met: the first one counts. One that
    has not changed does no harm. Where a pass ``fills``, no id is there twice."""
    if not compared.changed:
        return
    context = reader.context
    with context.services.sessions() as session:
        repeated = find_met(session, context.deployment.id, after, compared.changed)
    for id in repeated:
        del compared.changed[id]


def _write_changed(
    reader: Reader, compared: Compared, goes_on: GoesOn
) -> tuple[int, PointId | None]:
    """Makes and writes batches of points in the order of their records. Returns how many were
    written, and the first id that was left for later."""
    context = reader.context
    ids = list(compared.changed)
    done = 0
    while done < len(ids):
        if done and not goes_on():
            return done, ids[done]
        started = time.monotonic()
        batch = {id: compared.changed[id] for id in ids[done : done + reader.batch]}
        try:
            points = build_points(reader.vectors, batch, compared.origins)
        except Limited:  # of the collection that vectors are taken from
            if done:
                return done, ids[done]
            raise
        context.turn.check(0)
        context.services.store.upsert(context.deployment.green, points)
        done += len(batch)
        reader.batch = resize_batch(reader.batch, time.monotonic() - started)
    return done, None


def _begin_merging(reader: Reader, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
    """Goes on with what the release before has begun to count: it merged nothing."""
    return replace(current, phase="merging", position=None, part=0, met=0, deleted=0), True


_PHASES: dict[str, Callable[[Reader, RoundState, GoesOn], tuple[RoundState, bool]]] = {
    "listing": _list_ids,
    "reading": _read_records,
    "merging": merge_met,
    "finding": find_gone,
    "removing": remove_gone,
    "counting": _begin_merging,
    "deleting": _begin_merging,
}
