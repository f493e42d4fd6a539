"""What filling a collection will take: how many records, and how many of their texts must be
embedded. It is extrapolated from a sample of the source.

Rule: an estimate changes nothing, and cannot fail a deployment. What cannot be counted is not
guessed.
"""

import logging
import math
import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeGuard

from qdrant_rollouts.core.collections.chunks import chunk_source
from qdrant_rollouts.core.collections.makers import Maker, open_makers
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import (
    BadRecord,
    Record,
    duplicate_id_fault,
    parse_row,
)
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.database.plan_rows import PlanRow
from qdrant_rollouts.core.database.upserts import insert_new
from qdrant_rollouts.core.deployments.fillings import list_paces
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps import rereading
from qdrant_rollouts.core.deployments.steps.data import DELTA
from qdrant_rollouts.core.deployments.steps.loading import drop_remade_vectors
from qdrant_rollouts.core.deployments.steps.record_vectors import (
    RecordVectors,
    VectorCounts,
    find_live_vectors,
)
from qdrant_rollouts.core.deployments.steps.rereading import Reader
from qdrant_rollouts.core.deployments.steps.ways import NewCollection, Way
from qdrant_rollouts.core.errors import LeaseLost, Limited
from qdrant_rollouts.core.ports import PointId, Row, SizeUnit, Source, SpreadSource
from qdrant_rollouts.core.statistics import extrapolation
from qdrant_rollouts.core.statistics.extrapolation import Place
from qdrant_rollouts.core.statistics.intervals import Interval

log = logging.getLogger(__name__)

#: Where a large source is read, if reading can begin in its middle: at a place drawn in each of so
#: many equal parts.
_PLACES = 25
#: Characters that a sample has at most, but for its last record.
_CHARACTERS = 8_000_000
#: Texts of each vector that are kept, to count tokens and to measure a pace.
_TEXTS = 100
#: Records that are compared with the live collection in one request.
_WINDOW = 128
_PAYLOADS = 100
#: Each page is a request, and there is a pause between two of them.
_SITE = "sitemap:"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a source is read for an estimate: so many records, or as many as it gives in so
    many seconds."""

    records: int
    seconds: float


#: For a person who waits, and for a deployment that only wants to compare.
OF_PLANS = Bounds(500, 5.0)
OF_DEPLOYMENTS = Bounds(200, 2.0)


@dataclass(slots=True)
class Stretch:
    """Rows that lie beside each other, and how much of the source's size they took. ``done`` is
    where they end."""

    done: float
    rows: list[Row] = field(default_factory=list)
    taken: float = 0
    _begun: float = 0.0

    def add_row(self, row: Row) -> None:
        """A chunk inside a document takes its ``share`` of the document alone."""
        whole = int(row.cursor["done"])
        self.rows.append(row)
        size = (whole - self.done) * row.cursor.get("share", 1.0)
        self.taken += size - self._begun
        self._begun = 0.0
        if "share" in row.cursor:
            self._begun = size
        else:
            self.done = whole


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of a source, in parts that have one each at least. ``complete``: there are no
    others."""

    parts: Sequence[Stretch]
    size: int
    unit: SizeUnit
    complete: bool

    @property
    def rows(self) -> list[Row]:
        return [row for part in self.parts for row in part.rows]

    @property
    def spread(self) -> bool:
        """Whether it shows what the rest is like."""
        return self.complete or len(self.parts) > 1

    @property
    def counted(self) -> bool:
        """Whether the number of records is known, and not estimated."""
        return self.complete or (self.unit == "rows" and self.size > 0)

    @property
    def records(self) -> Interval | None:
        """How many records the source has; None if it cannot be counted."""
        if self.complete:
            return extrapolation.exactly(len(self.rows))
        if self.why_not_counted:
            return None
        if self.counted:
            return extrapolation.exactly(self.size)
        taken = [Place(len(part.rows), part.taken) for part in self.parts]
        return extrapolation.count_records(self.size, taken)

    @property
    def why_not_counted(self) -> str:
        """Empty if the number of records is known or can be estimated."""
        if self.counted:
            return ""
        if self.unit == "blocks":
            return "a compressed file does not say how many records it has"
        if not self.size:
            return "the source does not say how much it has, and it is not read to the end"
        if not sum(part.taken for part in self.parts):
            return "no record could be read in time"
        return ""


@dataclass(frozen=True, slots=True)
class Work:
    """``records`` and ``texts`` (by the vector's name) are None if the source cannot be counted;
    ``why_not_counted`` says why. ``counted``, ``spread`` and ``complete`` are those of the sample.

    ``examples`` are texts of the sample that must be embedded, ``others`` those that need not be,
    both by place and in no order. ``missing`` is how many of the sample must be embedded.
    ``payloads`` are what is stored of it. ``bad`` rows of the sample cannot become a record;
    ``bad_records`` is how many there are of them in the source, None if that is not known.
    ``changes``: how many points of a clone would be written or deleted; None if nothing is cloned,
    or if it cannot be counted.
    """

    records: Interval | None
    texts: Mapping[str, Interval] | None
    sampled: int = 0
    counted: bool = True
    spread: bool = True
    complete: bool = False
    why_not_counted: str = ""
    missing: int = 0
    examples: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    others: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    payloads: Sequence[Mapping[str, Any]] = ()
    bad: Sequence[BadRecord] = ()
    bad_records: Interval | None = None
    changes: Interval | None = None


@dataclass(slots=True)
class _Reader:
    """Reads rows while there is time, and room for what they hold."""

    ends: float
    rows: int = 0
    characters: int = 0

    def read_rows(self, part: Stretch, rows: Iterator[Row], number: int, characters: int) -> bool:
        """Adds so many rows, or rows of so many characters, to the part. Returns whether there are
        no more."""
        number += self.rows
        characters = min(_CHARACTERS, self.characters + characters)
        try:
            while (
                self.rows < number and self.characters < characters and time.monotonic() < self.ends
            ):
                row = next(rows, None)
                if row is None:
                    return True
                if not row.gone:
                    part.add_row(row)
                    self.rows += 1
                    self.characters += _count_characters(row.fields)
        except Limited:
            if not self.rows:
                raise
            self.ends = -math.inf  # rows that have raised end as if there were no more
        return False


def _count_characters(value: Any) -> int:
    """Returns about how long a value of JSON is, however deep it is."""
    total = 0
    pile = [value]
    while pile:
        one = pile.pop()
        if isinstance(one, Mapping):
            pile += one.keys()
            pile += one.values()
        elif isinstance(one, list | tuple):
            pile += one
        else:
            total += len(one) if isinstance(one, str) else 1
    return total


def read_sample(source: Source, bounds: Bounds, draw: random.Random) -> Sample:
    """Reads a small source to its end. Of a larger one it reads rows at places that are drawn all
    over it, if that is possible, or else the first ones. Raises what the source raises, and Limited
    if its rate allows no reads now."""
    reader = _Reader(time.monotonic() + bounds.seconds)
    rows = source.read(None)
    first = Stretch(0)
    each = bounds.records // _PLACES
    if reader.read_rows(first, rows, each, _CHARACTERS // _PLACES):
        return _build_sample(source, [first], complete=True)
    in_time = time.monotonic() < reader.ends
    if in_time and _is_large(_build_sample(source, [first]), reader.characters, bounds):
        parts = _read_places(source, bounds, reader.ends, draw)
        if len(parts) > 1:
            return _build_sample(source, parts)
    ended = reader.read_rows(first, rows, bounds.records - len(first.rows), _CHARACTERS)
    return _build_sample(source, [first], complete=ended)


def read_first(source: Source, bounds: Bounds) -> Sample:
    """Reads the first rows alone, so that the next reading finds the same ones. Raises what the
    source raises."""
    first = Stretch(0)
    reader = _Reader(time.monotonic() + bounds.seconds)
    ended = reader.read_rows(first, source.read(None), bounds.records, _CHARACTERS)
    return _build_sample(source, [first], complete=ended)


def _build_sample(source: Source, parts: Sequence[Stretch], *, complete: bool = False) -> Sample:
    filled = [part for part in parts if part.rows]
    return Sample(filled, source.size(), source.size_unit, complete)


def _is_large(sample: Sample, characters: int, bounds: Bounds) -> bool:
    """Returns whether a source that begins in this way has more than may be read."""
    found = sample.records
    if found is None:
        return False
    most = min(bounds.records, _CHARACTERS * len(sample.rows) / max(1, characters))
    return found.value > most


def _read_places(
    source: Source, bounds: Bounds, ends: float, draw: random.Random
) -> Sequence[Stretch]:
    """Reads the places in a random order, so that those for which there is no time are any of
    them."""
    if not isinstance(source, SpreadSource):
        return ()
    places = list(source.list_places([(n + draw.random()) / _PLACES for n in range(_PLACES)]))
    draw.shuffle(places)
    reader = _Reader(ends)
    parts = []
    for place in places:
        part = Stretch(place["done"])
        each = bounds.records // _PLACES
        reader.read_rows(part, source.read(place), each, _CHARACTERS // _PLACES)
        parts.append(part)
    return [part for part in parts if part.rows]


def estimate_work(
    context: StepContext,
    source: Source,
    green: NewCollection,
    makers: Mapping[str, Maker],
    way: Way,
    bounds: Bounds,
    draw: random.Random,
) -> Work:
    """Returns what it takes to fill green in this way. Raises Refused for a record that would end
    the deployment because its vector cannot be carried over."""
    store = context.services.store
    if not way.embeds and source.collection is not None:
        store.pace(source.collection)
        points, _ = store.scroll(source.collection, None, _PAYLOADS, vectors=False)
        return Work(
            records=extrapolation.exactly(estimate_points(store, source.collection)),
            texts={},
            sampled=len(points),
            payloads=[point.payload for point in points],
        )
    rules = RecordRules.of(green.vectors, green.schema, context.deployment.spec.vector_field)
    sample = read_sample(chunk_source(source, makers, rules), bounds, draw)
    parts = parse_sample(sample, green.vectors, rules)
    records = {one.point_id: one for part in parts for one in part if isinstance(one, Record)}
    live = None
    if context.deployment.blue is not None:
        live = find_live_vectors(store, context.deployment.blue, green.schema)
    vectors = RecordVectors(store, green.vectors, makers, live, VectorCounts())
    missing = _find_missing_texts(context, vectors, makers, records)
    changes = None
    if way.name == DELTA:
        changes = _estimate_changes(context, source, green, makers, sample, parts)
    return Work(
        records=sample.records,
        texts=_estimate_texts(sample, parts, missing, all_new=vectors.reads_from is None),
        sampled=len(sample.rows),
        counted=sample.counted,
        spread=sample.spread,
        complete=sample.complete,
        why_not_counted=sample.why_not_counted,
        missing=sum(map(len, missing.values())),
        examples={name: _pick_texts(sample, parts, name, found) for name, found in missing.items()},
        others={
            name: _pick_texts(sample, parts, name, records.keys() - found.keys())
            for name, found in missing.items()
        },
        payloads=[record.fields for record in records.values()],
        bad=list_bad_records(parts),
        bad_records=estimate_bad_records(sample, parts),
        changes=changes,
    )


def parse_sample(
    sample: Sample, plan: VectorPlan, rules: RecordRules
) -> list[list[Record | BadRecord]]:
    """Returns the records of each part of the sample, or what is wrong with them."""
    return [_parse_part(part, plan, rules) for part in sample.parts]


def list_bad_records(parts: Sequence[Sequence[Record | BadRecord]]) -> list[BadRecord]:
    return [one for part in parts for one in part if isinstance(one, BadRecord)]


def _parse_part(part: Stretch, plan: VectorPlan, rules: RecordRules) -> list[Record | BadRecord]:
    """A later record with the same id is a bad one. Places may overlap, so two of them may have the
    same record."""
    found: list[Record | BadRecord] = []
    known: dict[PointId, str] = {}
    for row in part.rows:
        one = parse_row(drop_remade_vectors(plan, row), rules)
        if isinstance(one, Record) and one.point_id in known:
            one = duplicate_id_fault(one, known[one.point_id])
        elif isinstance(one, Record):
            known[one.point_id] = one.where
        found.append(one)
    return found


def _estimate_changes(
    context: StepContext,
    source: Source,
    green: NewCollection,
    makers: Mapping[str, Maker],
    sample: Sample,
    parts: Sequence[Sequence[Record | BadRecord]],
) -> Interval | None:
    """Returns how many points of a clone would be written, and how many deleted: those that the
    live collection has more than there are records with a point."""
    blue = context.deployment.blue
    if sample.records is None or blue is None or not sample.parts:
        return None
    comparer = rereading.open_comparer(context, source, green, makers)
    changed = []
    there = []
    for part, records in zip(sample.parts, parts, strict=True):
        hits, found = _compare_part(comparer, blue, part, records)
        changed.append(Place(len(part.rows), hits))
        there.append(Place(len(part.rows), found))
    written = extrapolation.estimate_share(sample.records, changed)
    kept = extrapolation.estimate_share(sample.records, there)
    points = estimate_points(context.services.store, blue)
    gone = [max(0.0, points - end) for end in (kept.value, kept.high, kept.low)]
    return extrapolation.add([written, Interval(*gone)])


def _compare_part(
    comparer: Reader, blue: str, part: Stretch, parsed: Sequence[Record | BadRecord]
) -> tuple[int, int]:
    """Returns how many of the records need another point, and how many have some."""
    records = {
        record.point_id: (row, record)
        for row, record in zip(part.rows, parsed, strict=True)
        if isinstance(record, Record)
    }
    changed = there = 0
    rest = iter(records.items())
    while window := dict(islice(rest, _WINDOW)):
        comparer.context.services.store.pace(blue)
        found = rereading.compare_window(comparer, blue, window)
        changed += len(found.changed)
        there += found.there
    return changed, there


def _estimate_texts(
    sample: Sample,
    parts: Sequence[Sequence[Record | BadRecord]],
    missing: Mapping[str, Collection[PointId]],
    *,
    all_new: bool,
) -> dict[str, Interval] | None:
    """``all_new``: no vector can be taken from the live collection. So if each record of the sample
    has a text, all others are taken to have one."""
    number = sample.records
    if number is None:
        return None
    if not parts:
        return dict.fromkeys(missing, extrapolation.exactly(0)) if sample.complete else None
    found = {}
    for name, ids in missing.items():
        hits = [_count_hits(part, ids) for part in parts]
        all_hit = all(place.amount == place.records for place in hits)
        found[name] = number if all_new and all_hit else extrapolation.estimate_share(number, hits)
    return found


def estimate_bad_records(
    sample: Sample, parts: Sequence[Sequence[Record | BadRecord]]
) -> Interval | None:
    number = sample.records
    if number is None or not parts:
        return None
    bad = [Place(len(part), sum(isinstance(one, BadRecord) for one in part)) for part in parts]
    return extrapolation.estimate_share(number, bad)


def _count_hits(part: Sequence[Record | BadRecord], found: Collection[PointId]) -> Place:
    hits = sum(isinstance(one, Record) and one.point_id in found for one in part)
    return Place(len(part), hits)


def _pick_texts(
    sample: Sample,
    parts: Sequence[Sequence[Record | BadRecord]],
    name: str,
    ids: Collection[PointId],
) -> Sequence[Sequence[str]]:
    """Returns some texts of these records, about as many from each place, and always the same. In a
    complete sample each is a place of its own, because it is drawn from all of them."""
    draw = random.Random(0)  # noqa: S311 - hides nothing
    places = [
        [one.texts[name] for one in part if _has_text(one, name) and one.point_id in ids]
        for part in parts
    ]
    if sample.complete:
        places = [[text] for text in chain.from_iterable(places)]
        return draw.sample(places, min(_TEXTS, len(places)))
    filled = [texts for texts in places if texts]
    each = math.ceil(_TEXTS / max(1, len(filled)))
    return [draw.sample(texts, min(each, len(texts))) for texts in filled]


def _has_text(one: Record | BadRecord, name: str) -> TypeGuard[Record]:
    return isinstance(one, Record) and name in one.texts


def keep_estimate(context: StepContext, source: Source, green: NewCollection, way: Way) -> None:
    """Keeps what filling is expected to take, so that it can be compared with what it took. May be
    repeated: the first estimate stays."""
    if source.address.startswith(_SITE):
        return
    services = context.services
    ends_turn: tuple[type[BaseException], ...] = (LeaseLost, *services.interruptions)
    try:
        if not source.size():
            return
        makers = open_makers(services, green.vectors) if way.embeds else {}
        draw = random.Random()  # noqa: S311 - hides nothing
        work = estimate_work(context, source, green, makers, way, OF_DEPLOYMENTS, draw)
        _write_estimate(context, way, work)
    except ends_turn:
        raise
    except Exception as error:  # noqa: BLE001
        # Whatever is wrong with the source, the model or the server is met again by the filling,
        # which says it. An estimate that is missing harms nobody.
        log.info("no estimate for deployment %s: %s", context.deployment.id, type(error).__name__)


def _write_estimate(context: StepContext, way: Way, work: Work) -> None:
    services = context.services
    deployment = context.deployment
    if work.records is None or work.texts is None:
        return
    texts = extrapolation.add(list(work.texts.values()))
    models = {model.model for model in deployment.spec.models}
    with services.sessions.begin() as session:
        context.turn.fence(session)
        paces = list_paces(session, deployment.alias, way.name, models)
        seconds = extrapolation.estimate_seconds(paces, work.records, texts)
        estimate = {
            "way": way.name,
            "records": show_interval(work.records),
            "texts": show_interval(texts),
            "seconds": show_interval(seconds) if seconds is not None else None,
        }
        row = {
            "deployment_id": deployment.id,
            "created_at": services.clock.now(session),
            "estimate": estimate,
        }
        insert_new(session, PlanRow, [row])


def show_interval(found: Interval) -> dict[str, float | None]:
    """Returns an interval as JSON; an end at which nothing is known is null."""
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high if math.isfinite(found.high) else None,
    }


def _find_missing_texts(
    context: StepContext,
    vectors: RecordVectors,
    makers: Mapping[str, Maker],
    records: Mapping[PointId, Record],
) -> dict[str, dict[PointId, str]]:
    """Returns the texts that must be embedded, by the vector's name and the record, as the filling
    finds them."""
    missing: dict[str, dict[PointId, str]] = {name: {} for name in makers}
    rest = iter(records.items())
    while window := dict(islice(rest, _WINDOW)):
        if vectors.reads_from is not None:
            context.services.store.pace(vectors.reads_from)
        for name, texts in vectors.find_missing_texts(window).items():
            missing[name] |= texts
    return missing
