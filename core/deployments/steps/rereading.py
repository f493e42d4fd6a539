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
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from qdrant_rollouts.core.collections.changes import Changes, find_changes
from qdrant_rollouts.core.collections.chunks import chunk_source
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.makers import Maker, open_makers
from qdrant_rollouts.core.collections.origins import are_same_values, digest_row
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import (
    MARK_KEY,
    BadRecord,
    Record,
    parse_row,
    read_mark,
    stored_hashes,
)
from qdrant_rollouts.core.collections.schema import vector_names, vector_params
from qdrant_rollouts.core.collections.seen import (
    RANGES_AT_ONCE,
    MetIds,
    count_ranges,
    find_met,
    forget_seen,
    load_known,
    merge_range,
    save_piece,
)
from qdrant_rollouts.core.collections.vectors import VectorPlan, read_plan
from qdrant_rollouts.core.config.vector_kinds import Kind, Params, kind_of, vectors_by_name
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps import reading
from qdrant_rollouts.core.deployments.steps.data import CreatedGreen, RoundState
from qdrant_rollouts.core.deployments.steps.followers import (
    FIRST_BATCH,
    Written,
    build_points,
    check_bad_records,
    resize_batch,
)
from qdrant_rollouts.core.deployments.steps.losses import are_many_gone
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn, do_pages, limit_to
from qdrant_rollouts.core.deployments.steps.record_vectors import (
    RecordVectors,
    VectorCounts,
    open_live,
)
from qdrant_rollouts.core.deployments.steps.ways import NewCollection
from qdrant_rollouts.core.errors import Limited, Refused
from qdrant_rollouts.core.ports import Limits, Point, PointId, Row, Schema, Source

#: Records in a window: few at first, then as many as take about ``_WINDOW_SECONDS``.
_FIRST_WINDOW = 64
_LARGEST_WINDOW = 1024
_WINDOW_SECONDS = 1.0
_GROWTH = 4
_ID_ALONE = RecordRules(dense={}, vector_field=None)
_PAGE_IDS = 4096


class TooManyGone(Refused):
    """So much is gone from the source that it may be broken."""


@dataclass(slots=True)
class Reader:
    """What a pass over the source works with. ``serving``: green serves already, so applications
    may have written to it, and a point without our mark is theirs.

    ``fills``: the pass is how green is filled. Then a point that is not what its mark says is made
    again, no id may be there twice, every vector is counted, and whoever began the pass judges the
    ``bad`` records and how many are ``gone``. ``window``: how many records are read next, at most
    ``largest``. ``batch``: how many points are made at once. ``rows``: those that are open.
    """

    context: StepContext
    source: Source
    plan: VectorPlan
    rules: RecordRules
    vectors: RecordVectors
    kinds: Mapping[str, tuple[Kind, Params]]
    changes: Changes | None = None
    serving: bool = False
    fills: bool = False
    bad: list[BadRecord] = field(default_factory=list)
    gone: int = 0
    window: int = _FIRST_WINDOW
    largest: int = _LARGEST_WINDOW
    batch: int = FIRST_BATCH
    rows: reading.OpenRows = field(default_factory=reading.OpenRows)


@dataclass(slots=True)
class SortedWindow:
    """The records of a window by the ids of their points, and what is wrong with the other rows.
    ``places``: at which row of the window each of these records is, the first one being 0. ``met``:
    the ids of all records, in their order. ``gone``: the places of rows whose record has left the
    source."""

    records: dict[PointId, tuple[Row, Record]] = field(default_factory=dict)
    places: dict[PointId, int] = field(default_factory=dict)
    bad: list[tuple[int, BadRecord]] = field(default_factory=list)
    met: list[tuple[int, PointId]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)

    def cut_at(self, place: int) -> "SortedWindow":
        """Returns the same for the rows before ``place``."""
        return SortedWindow(
            {id: one for id, one in self.records.items() if self.places[id] < place},
            {id: at for id, at in self.places.items() if at < place},
            [(at, one) for at, one in self.bad if at < place],
            [(at, id) for at, id in self.met if at < place],
            [at for at in self.gone if at < place],
        )

    def add_met_to(self, met: MetIds) -> None:
        for _, id in self.met:
            met.add(id)


@dataclass(slots=True)
class Compared:
    """A window of records beside a collection: the records whose point must be made, and the other
    ones with the names of their point's vectors. ``there``: how many of all have some point."""

    changed: dict[PointId, Record]
    kept: list[tuple[Record, Collection[str]]]
    origins: dict[PointId, str]
    there: int


def open_reader(
    context: StepContext, *, serving: bool = False, filling: VectorCounts | None = None
) -> Reader:
    """Opens a pass. ``filling``: the pass fills green, and counts its vectors there."""
    services = context.services
    deployment = context.deployment
    schema = services.store.schema(deployment.green)
    created = context.outputs.get(CreatedGreen)
    plan = read_plan(deployment.spec, created.vectors, created.vector)
    makers = open_makers(services, plan)
    rules = RecordRules.of(plan, schema, deployment.spec.vector_field)
    source = chunk_source(reading.open_deployment_source(context), makers, rules)
    live = open_live(context, schema)
    vectors = RecordVectors(services.store, plan, makers, live, filling or VectorCounts())
    return Reader(
        context=context,
        source=source,
        plan=plan,
        rules=rules,
        vectors=vectors,
        kinds=_list_kinds(schema),
        changes=find_changes(source, deployment.spec),
        serving=serving,
        fills=filling is not None,
    )


def open_comparer(
    context: StepContext, source: Source, green: NewCollection, makers: Mapping[str, Maker]
) -> Reader:
    """Opens a reader that only compares. Green need not exist yet."""
    rules = RecordRules.of(green.vectors, green.schema, context.deployment.spec.vector_field)
    vectors = RecordVectors(context.services.store, green.vectors, makers, None, VectorCounts())
    return Reader(
        context=context,
        source=source,
        plan=green.vectors,
        rules=rules,
        vectors=vectors,
        kinds=_list_kinds(green.schema),
        fills=True,
    )


def _list_kinds(schema: Schema) -> dict[str, tuple[Kind, Params]]:
    params = {name: vector_params(schema, name) for name in vector_names(schema)}
    return {name: (kind_of(one), one) for name, one in params.items()}


def begin_changes(reader: Reader, since: str | None = None) -> RoundState:
    """Begins a pass over what has changed ``since``, or since the source was read last. If the
    source cannot tell that, the pass reads everything."""
    begun = begin_pass(reader)
    filled = reader.context.outputs.find(Filling)
    since = since or (filled.begun if filled is not None else None)
    if begun.begun is None or since is None:
        return begun
    return replace(begun, phase="listing", since=since)


def begin_pass(reader: Reader) -> RoundState:
    """Begins a pass over everything."""
    context = reader.context
    reader.rows.close()
    with context.services.sessions.begin() as session:
        context.turn.fence(session)
        forget_seen(session, context.deployment.id)
    begun = reader.changes.mark_now() if reader.changes is not None else None
    return RoundState(phase="reading", fingerprint=reader.source.fingerprint(), begun=begun)


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


# --- reading --------------------------------------------------------------------------------------


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


def read_window(reader: Reader) -> tuple[list[Row], bool]:
    """Returns the next rows, or as many as a slow source gives in the time of a window, and whether
    the source may have more."""
    seconds = min(_WINDOW_SECONDS, reader.context.services.times.turn_time)
    return reader.rows.read_window(reader.window, seconds)


def fit_window(reader: Reader, limits: Limits) -> None:
    """Makes windows as large as a collection with such limits can be asked for at once. Where reads
    are limited, a request is the dearer part, whatever it asks for."""
    if limits.read_rate_limit is not None:
        reader.window = reader.largest = limits.fetched_ids(_LARGEST_WINDOW)


def resize_window(reader: Reader, size: int, seconds: float) -> None:
    """Sets how many records fit into ``_WINDOW_SECONDS`` at the last speed. A slow model must not
    take longer than a turn for a window."""
    fitting = int(size * _WINDOW_SECONDS / max(seconds, 1e-3))
    reader.window = max(1, min(fitting, size * _GROWTH, reader.largest))


def sort_window(
    reader: Reader, window: Sequence[Row], met: MetIds, *, listed: bool = False
) -> SortedWindow:
    """Sorts the rows of a window. The first record with an id counts, as in populate; ``met`` are
    those that the piece has met before. ``listed``: all ids were listed before the changes were
    read, and of several changes of a record the last one counts."""
    found = SortedWindow()
    for place, row in enumerate(window):
        if row.gone:
            found.gone.append(place)
            continue
        record = parse_row(row, reader.rules)
        if isinstance(record, BadRecord):
            found.bad.append((place, record))
            continue
        id = record.point_id
        found.met.append((place, id))
        if listed or not (id in found.records or id in met):
            found.records[id] = (row, record)
            found.places.setdefault(id, place)
    return found


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


def compare_window(
    reader: Reader, collection: str, records: Mapping[PointId, tuple[Row, Record]]
) -> Compared:
    """Compares records with the points of a collection."""
    taken = reader.plan.taken
    compares_vectors = reader.fills and bool(taken)
    fetch = partial(reader.context.services.store.fetch, vectors=compares_vectors)
    with ThreadPoolExecutor(1) as server:  # it answers while the records are digested
        asked = server.submit(fetch, collection, list(records)) if records else None
        origins = {id: digest_row(row, one, taken) for id, (row, one) in records.items()}
        stored = {point.id: point for point in asked.result()} if asked is not None else {}
    kept: list[tuple[Record, Collection[str]]] = []
    changed = {}
    for id, (_, record) in records.items():
        point = stored.get(id)
        if point is not None and _is_as_made(reader, record, origins[id], point, taken):
            names = vectors_by_name(point.vector) if compares_vectors else record.texts
            kept.append((record, names.keys()))
        else:
            changed[id] = record
    return Compared(changed, kept, origins, len(stored))


def _is_as_made(
    reader: Reader, record: Record, origin: str, point: Point, taken: Collection[str]
) -> bool:
    """Returns whether the point stays as it is. Its mark says what it was made from. But an
    application may have written to it since, so the point itself is compared where green must be
    exact. ``taken``: the vectors that are not made from a text."""
    made_from = read_mark(point.payload).get("from")
    if not reader.fills:
        return made_from == origin or (reader.serving and made_from is None)
    return (
        made_from == origin
        and stored_hashes(point.payload) == reader.vectors.hashes(record)
        and _has_its_payload(record, point)
        and not _brings_made_vector(reader, record)
        and (not taken or _has_its_vectors(reader, record, point))
    )


def _brings_made_vector(reader: Reader, record: Record) -> bool:
    """Returns whether the record itself has a vector that is otherwise made. No mark says whether
    that has changed."""
    return bool(record.vectors) and not record.vectors.keys().isdisjoint(reader.plan.templates)


def _has_its_payload(record: Record, point: Point) -> bool:
    plain = {name: value for name, value in point.payload.items() if name != MARK_KEY}
    return are_same_values(plain, record.fields)


def _has_its_vectors(reader: Reader, record: Record, point: Point) -> bool:
    """Returns whether the point has the vectors that the record brings, and no other ones but those
    that are made from it or carried over."""
    stored = vectors_by_name(point.vector)
    own = record.texts.keys() | record.vectors.keys()
    if not own <= stored.keys() or not stored.keys() <= own | reader.plan.carried.keys():
        return False
    for name, vector in record.vectors.items():
        kind, params = reader.kinds[name]
        if not kind.same(params, vector, stored[name]):
            return False
    return True


# --- what is gone ---------------------------------------------------------------------------------


def _merge_met(reader: Reader, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
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


def _find_gone(reader: Reader, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
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


def _remove_gone(reader: Reader, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
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


def _begin_merging(reader: Reader, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
    """Goes on with what the release before has begun to count: it merged nothing."""
    return replace(current, phase="merging", position=None, part=0, met=0, deleted=0), True


_PHASES: dict[str, Callable[[Reader, RoundState, GoesOn], tuple[RoundState, bool]]] = {
    "listing": _list_ids,
    "reading": _read_records,
    "merging": _merge_met,
    "finding": _find_gone,
    "removing": _remove_gone,
    "counting": _begin_merging,
    "deleting": _begin_merging,
}
