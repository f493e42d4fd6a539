"""What a pass over the source works with, how one begins, and the windows in which it reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from qdrant_rollouts.core.collections.changes import Changes, find_changes
from qdrant_rollouts.core.collections.chunks import chunk_source
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.makers import Maker, open_makers
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import BadRecord, Record, parse_row
from qdrant_rollouts.core.collections.schema import vector_names, vector_params
from qdrant_rollouts.core.collections.seen import MetIds, forget_seen
from qdrant_rollouts.core.collections.vectors import VectorPlan, read_plan
from qdrant_rollouts.core.config.vector_kinds import Kind, Params, kind_of
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps import reading
from qdrant_rollouts.core.deployments.steps.data import CreatedGreen, RoundState
from qdrant_rollouts.core.deployments.steps.followers import FIRST_BATCH
from qdrant_rollouts.core.deployments.steps.record_vectors import (
    RecordVectors,
    VectorCounts,
    open_live,
)
from qdrant_rollouts.core.deployments.steps.ways import NewCollection
from qdrant_rollouts.core.ports import Limits, PointId, Row, Schema, Source

#: Records in a window: few at first, then as many as take about ``_WINDOW_SECONDS``.
_FIRST_WINDOW = 64
_LARGEST_WINDOW = 1024
_WINDOW_SECONDS = 1.0
_GROWTH = 4


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
