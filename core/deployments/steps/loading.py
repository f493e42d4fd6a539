"""Fills green from records, window by window: read, check, reuse or make vectors, write, save the
position."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from qdrant_rollouts.core.collections.chunks import chunk_source
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.makers import open_makers
from qdrant_rollouts.core.collections.origins import digest_row
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import (
    BadRecord,
    Record,
    build_payload,
    duplicate_id_fault,
    number_in_slice,
    parse_row,
    plain_vectors,
    read_mark,
    read_ordinal,
)
from qdrant_rollouts.core.collections.vectors import VectorPlan, read_plan
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.database.step_data import Progress, StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import reading
from qdrant_rollouts.core.deployments.steps.data import CreatedGreen, FillState
from qdrant_rollouts.core.deployments.steps.record_vectors import (
    RecordVectors,
    VectorCounts,
    open_live,
)
from qdrant_rollouts.core.ports import Cursor, Point, PointId, Row, Source

#: Records in a window: few at first, then as many as take about ``_WINDOW_SECONDS``. The model
#: sorts them by length; the more records a window has, the less padding each batch has
#: (``benchmarks/embedding.py``).
_FIRST_WINDOW = 128
_LARGEST_WINDOW = 1024
_WINDOW_SECONDS = 10.0
_GROWTH = 4
_BAD_SAMPLES = 20


@dataclass(slots=True)
class _Loader:
    """The objects that one turn of loading uses. ``slice``: which one is loaded, if the source is
    cut into slices."""

    context: StepContext
    source: Source
    plan: VectorPlan
    rules: RecordRules
    vectors: RecordVectors
    state: FillState
    slice: int | None
    rows: reading.OpenRows = field(default_factory=reading.OpenRows)

    def mark_ordinal(self, number: int) -> int:
        """Returns what a point stores about the place of its record."""
        return number if self.slice is None else number_in_slice(self.slice, number)


def load_records(context: StepContext) -> Outcome:
    """Loads as many windows as fit into a turn. A window that is repeated after a crash writes the
    same points under the same ids again."""
    loader = _open_loader(context, reading.open_deployment_source(context))
    return _load_windows(loader, _finish_filling)


def fill_slice(
    context: StepContext, number: int, start: Cursor | None, stop: Cursor | None
) -> Outcome:
    """The same for slice ``number`` of the source: its records after ``start`` up to ``stop``."""
    part = reading.open_part_of_source(context, start, stop)
    return _load_windows(_open_loader(context, part, number), _finish_slice)


def _load_windows(loader: _Loader, finish: Callable[[_Loader], Outcome]) -> Outcome:
    context = loader.context
    changed = reading.why_changed(context, loader.source, loader.state.fingerprint)
    if changed:
        return Reject(changed)
    started = time.monotonic()
    begun_at = loader.state.read or 0
    while time.monotonic() - started < context.services.times.turn_time:
        if loader.vectors.reads_from is not None:
            context.services.store.pace(loader.vectors.reads_from)
        window = _read_window(loader)
        if not window:
            return finish(loader)
        refusal = _write_window(loader, window)
        if refusal:
            return Reject(
                refusal, Filling(bad=loader.state.bad, bad_samples=loader.state.bad_samples)
            )
        _note_progress(loader, begun_at, time.monotonic() - started)
    return Wait(0, _describe_loading(loader.state))


def _open_loader(context: StepContext, source: Source, number: int | None = None) -> _Loader:
    services = context.services
    state = context.load(FillState)
    spec = context.deployment.spec
    schema = services.store.schema(context.deployment.green)
    created = context.outputs.get(CreatedGreen)
    plan = read_plan(spec, created.vectors, created.vector)
    makers = open_makers(services, plan)
    rules = RecordRules.of(plan, schema, spec.vector_field)
    live = open_live(context, schema)
    return _Loader(
        context=context,
        source=chunk_source(source, makers, rules),
        plan=plan,
        rules=rules,
        vectors=RecordVectors(services.store, plan, makers, live, VectorCounts.of(state)),
        state=state,
        slice=number,
    )


def _read_window(loader: _Loader) -> list[Row]:
    """Reads a window of rows, or as many as a slow source gives in the time of a window. A repeat
    reads fewer rows until this window is done. A window can be too much for a turn if the model is
    slow or no vector can be reused any more, and with the same size it would be too much again."""
    loader.rows.go_to(loader.state.cursor, loader.source.read)
    size = loader.state.window or _FIRST_WINDOW
    loader.context.save(replace(loader.state, window=max(1, size // _GROWTH)))
    seconds = min(_WINDOW_SECONDS, loader.context.services.times.turn_time)
    window, _ = loader.rows.read_window(size, seconds)
    return window


def _write_window(loader: _Loader, rows: Sequence[Row]) -> str:
    """Writes one window and saves the position after it. Returns why the deployment must end, or
    nothing."""
    started = time.monotonic()
    records, bad = _sort_out_records(loader, rows)
    origins = _digest_origins(loader, rows, records)
    spec = loader.context.deployment.spec
    loader.state, refusal = count_bad_records(spec, loader.state, bad)
    if refusal:
        return refusal
    _write_points(loader, records, origins)
    loader.state = replace(
        loader.vectors.counts.add_to(loader.state),
        cursor=rows[-1].cursor,
        read=(loader.state.read or 0) + len(rows),
        window=_next_window_size(len(rows), time.monotonic() - started),
    )
    return ""


def _sort_out_records(
    loader: _Loader, rows: Sequence[Row]
) -> tuple[dict[PointId, tuple[int, Record]], list[BadRecord]]:
    """Returns the window's records by point id, with their place in the source, and the faults of
    the other rows."""
    first = loader.state.read or 0
    records: dict[PointId, tuple[int, Record]] = {}
    bad: list[BadRecord] = []
    there = [(number, row) for number, row in enumerate(rows, first) if not row.gone]
    loader.state = replace(loader.state, gone=(loader.state.gone or 0) + len(rows) - len(there))
    for number, row in there:
        record = parse_row(drop_remade_vectors(loader.plan, row), loader.rules)
        if isinstance(record, BadRecord):
            bad.append(record)
        elif record.point_id in records:
            bad.append(duplicate_id_fault(record, records[record.point_id][1].where))
        else:
            records[record.point_id] = (number, record)
    bad += _find_repeated_ids(loader, records)
    return records, bad


def drop_remade_vectors(plan: VectorPlan, row: Row) -> Row:
    """Removes vectors that green does not take. A collection as a source brings all its vectors,
    also those that are made again, carried over or dropped."""
    if row.point_id is None:
        return row
    return replace(row, vector=plan.taken_from_points(vectors_by_name(row.vector)))


def _find_repeated_ids(
    loader: _Loader, records: dict[PointId, tuple[int, Record]]
) -> list[BadRecord]:
    """Returns records whose id belongs to an **earlier** record of the source, or of the same
    slice. A record that is written again is no fault. Ids that several slices have are found when
    all are filled (``core.deployments.steps.slicing``)."""
    store = loader.context.services.store
    green = loader.context.deployment.green
    bad = []
    for point in store.fetch(green, list(records), vectors=False):
        number, record = records[point.id]
        earlier = read_mark(point.payload).get("n")
        if earlier != loader.mark_ordinal(number) and not _is_of_other_slice(loader, earlier):
            del records[point.id]
            bad.append(duplicate_id_fault(record, _name_earlier(loader, earlier)))
    return bad


def _is_of_other_slice(loader: _Loader, ordinal: int | None) -> bool:
    if ordinal is None:
        return False
    slice_number, _ = read_ordinal(ordinal)
    return slice_number not in (None, loader.slice)


def _name_earlier(loader: _Loader, ordinal: int | None) -> str:
    if ordinal is None:
        return loader.context.deployment.green
    slice_number, number = read_ordinal(ordinal)
    of = "the source" if slice_number is None else f"slice {slice_number + 1} of the source"
    return f"record {number + 1} of {of}"


def count_bad_records(
    spec: IndexSpec, state: FillState, bad: Sequence[BadRecord]
) -> tuple[FillState, str]:
    """Returns the state with the bad records in it, and why the deployment must end, or nothing."""
    total = (state.bad or 0) + len(bad)
    samples = [*(state.bad_samples or []), *map(str, bad)][:_BAD_SAMPLES]
    state = replace(state, bad=total, bad_samples=samples)
    if bad and spec.on_bad_record == "fail":
        return state, f"{bad[0]}. Correct it, or set on_bad_record: skip"
    if total > spec.max_bad_records:
        most = f"more than max_bad_records={spec.max_bad_records} bad records"
        return state, f"{most}; the last: {bad[-1]}"
    return state, ""


def _digest_origins(
    loader: _Loader, rows: Sequence[Row], records: dict[PointId, tuple[int, Record]]
) -> dict[PointId, str]:
    """Returns what each point is made from, so that a later comparison makes only changed ones."""
    first = loader.state.read or 0
    taken = loader.plan.taken
    return {
        id: digest_row(rows[number - first], record, taken)
        for id, (number, record) in records.items()
    }


def _write_points(
    loader: _Loader, records: dict[PointId, tuple[int, Record]], origins: dict[PointId, str]
) -> None:
    if not records:
        return
    vectors = loader.vectors.complete({id: record for id, (_, record) in records.items()})
    points = [
        Point(
            id,
            plain_vectors(vectors[id]),
            build_payload(
                record, loader.vectors.hashes(record), loader.mark_ordinal(number), origins[id]
            ),
        )
        for id, (number, record) in records.items()
    ]
    loader.context.services.store.upsert(loader.context.deployment.green, points)
    loader.state = replace(loader.state, written=(loader.state.written or 0) + len(points))


def _next_window_size(size: int, seconds: float) -> int:
    """Returns how many records fit into ``_WINDOW_SECONDS`` at the last speed, at most ``_GROWTH``
    times as many as now."""
    fitting = int(size * _WINDOW_SECONDS / max(seconds, 1e-3))
    return max(1, min(fitting, size * _GROWTH, _LARGEST_WINDOW))


def _note_progress(loader: _Loader, begun_at: int, seconds: float) -> None:
    read = loader.state.read or 0
    assert loader.state.cursor is not None
    progress = Progress(
        done=int(loader.state.cursor["done"]),
        size=loader.source.size(),
        unit="source",
        rate=round((read - begun_at) / max(seconds, 1e-6), 1),
        records=read,
    )
    loader.state = replace(loader.state, progress=progress)
    loader.context.save(loader.state, progress=True)


def _describe_loading(state: FillState) -> str:
    rate = None
    if state.progress:
        rate = state.progress.rate
    return f"{state.read or 0:,} records, {rate or 0:,.0f}/s"


def _finish_filling(loader: _Loader) -> Outcome:
    state = loader.state
    if not state.written:
        return Reject(f"{loader.context.deployment.source} gave no record that could be written")
    loader.context.save(replace(state, filled=True, expected=state.written))
    return Wait(0, _describe_loading(state))


def _finish_slice(loader: _Loader) -> Outcome:
    loader.context.save(replace(loader.state, filled=True, expected=loader.state.written or 0))
    return Done(StepOutput(summary=_describe_loading(loader.state)))
