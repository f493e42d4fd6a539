"""What filling a collection will take: how many records, and how many of their texts must be
embedded. It is extrapolated from a sample of the source.

Rule: an estimate changes nothing, and cannot fail a deployment. What cannot be counted is not
guessed.
"""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.collections.chunks import chunk_source
from qdrant_rollouts.core.collections.makers import Maker, open_makers
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import BadRecord, Record, parse_row
from qdrant_rollouts.core.database.plan_rows import PlanRow
from qdrant_rollouts.core.database.upserts import insert_new
from qdrant_rollouts.core.deployments.fillings import PACES, list_fillings, list_paces
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.loading import drop_remade_vectors
from qdrant_rollouts.core.deployments.steps.record_vectors import (
    RecordVectors,
    VectorCounts,
    find_live_vectors,
)
from qdrant_rollouts.core.deployments.steps.ways import NewCollection, Way
from qdrant_rollouts.core.errors import Limited
from qdrant_rollouts.core.ports import Cursor, PointId, Row, Source, SpreadSource
from qdrant_rollouts.core.statistics import extrapolation
from qdrant_rollouts.core.statistics.intervals import Interval

log = logging.getLogger(__name__)

#: Where a large source is read, if reading can begin in its middle.
_PLACES = 25
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


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of a source. ``taken``: how much of its ``size`` each row took. ``complete``: there
    are no others."""

    rows: Sequence[Row]
    taken: Sequence[int]
    size: int
    complete: bool

    @property
    def records(self) -> Interval | None:
        """How many records the source has; None if it cannot be counted."""
        if self.complete:
            return extrapolation.exactly(len(self.rows))
        if not self.size or sum(self.taken) <= 0:
            return None
        return extrapolation.count_records(self.size, self.taken)


@dataclass(frozen=True, slots=True)
class Work:
    """``records`` and ``texts`` (by the vector's name) are None if the source cannot be counted.
    ``examples`` are the texts of the sample that must be embedded, ``payloads`` some of what is
    stored. ``bad`` rows of the sample cannot become a record."""

    records: Interval | None
    texts: Mapping[str, Interval] | None
    sampled: int
    complete: bool
    examples: Mapping[str, Sequence[str]]
    payloads: Sequence[Mapping[str, Any]]
    bad: Sequence[BadRecord] = ()


class _Reader:
    """Collects rows, and how much of the source each of them took."""

    def __init__(self, source: Source, bounds: Bounds) -> None:
        self._size = source.size()
        self._most = bounds.records
        self._ends = time.monotonic() + bounds.seconds
        self._done = 0
        self._rows: list[Row] = []
        self._taken: list[int] = []

    def go_to(self, place: Cursor) -> None:
        """The next rows come from there."""
        self._done = int(place["done"])

    def read_rows(self, rows: Iterator[Row], number: int) -> bool:
        """Takes ``number`` rows, while there is time. Returns whether there are no more."""
        wanted = min(number, self._most - len(self._rows))
        try:
            while wanted > 0 and time.monotonic() < self._ends:
                row = next(rows, None)
                if row is None:
                    return True
                if not row.gone:
                    self._take_row(row)
                    wanted -= 1
        except Limited:
            if not self._rows:
                raise
        return False

    def build_sample(self, *, complete: bool = False) -> Sample:
        return Sample(self._rows, self._taken, self._size, complete)

    def _take_row(self, row: Row) -> None:
        self._rows.append(row)
        self._taken.append(int(row.cursor["done"]) - self._done)
        self._done = int(row.cursor["done"])


def read_sample(source: Source, bounds: Bounds) -> Sample:
    """Reads a small source to its end. Of a larger one it reads rows at several places, if that is
    possible, or else the first ones. Raises what the source raises, and Limited if its rate allows
    no reads now."""
    reader = _Reader(source, bounds)
    rows = source.read(None)
    each = bounds.records // _PLACES
    if reader.read_rows(rows, each):
        return reader.build_sample(complete=True)
    expected = reader.build_sample().records
    places: Sequence[Cursor] = ()
    if isinstance(source, SpreadSource) and expected and expected.value > bounds.records:
        places = source.list_places(_PLACES - 1)
    if not places:
        return reader.build_sample(complete=reader.read_rows(rows, bounds.records))
    for place in places:
        reader.go_to(place)
        reader.read_rows(source.read(place), each)
    return reader.build_sample()


def estimate_work(
    context: StepContext,
    source: Source,
    green: NewCollection,
    makers: Mapping[str, Maker],
    way: Way,
    bounds: Bounds,
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
            complete=False,
            examples={},
            payloads=[point.payload for point in points],
        )
    rules = RecordRules.of(green.vectors, green.schema, context.deployment.spec.vector_field)
    sample = read_sample(chunk_source(source, makers, rules), bounds)
    parsed = [parse_row(drop_remade_vectors(green.vectors, row), rules) for row in sample.rows]
    records = [one for one in parsed if isinstance(one, Record)]
    examples = _find_missing_texts(context, green, makers, records)
    number = sample.records
    texts = None
    if number is not None:
        read = len(sample.rows)
        texts = {
            name: extrapolation.estimate_share(number, len(found), read)
            for name, found in examples.items()
            if read
        }
    return Work(
        records=number,
        texts=texts,
        sampled=len(sample.rows),
        complete=sample.complete,
        examples=examples,
        payloads=[record.fields for record in records],
        bad=[one for one in parsed if isinstance(one, BadRecord)],
    )


def keep_estimate(context: StepContext, source: Source, green: NewCollection, way: Way) -> None:
    """Keeps what filling is expected to take, so that it can be compared with what it took. May be
    repeated: the first estimate stays."""
    services = context.services
    if source.address.startswith(_SITE):
        return
    try:
        if not source.size():
            return
        makers = open_makers(services, green.vectors) if way.embeds else {}
        work = estimate_work(context, source, green, makers, way, OF_DEPLOYMENTS)
    except services.interruptions:
        raise
    except Exception as error:
        # Whatever is wrong with the source, the model or the server is met again by the filling,
        # which says it. An estimate that is missing harms nobody.
        log.info("no estimate for deployment %s: %s", context.deployment.id, type(error).__name__)
        return
    _write_estimate(context, way, work)


def _write_estimate(context: StepContext, way: Way, work: Work) -> None:
    services = context.services
    deployment = context.deployment
    if work.records is None or work.texts is None:
        return
    texts = extrapolation.add(list(work.texts.values()))
    with services.sessions.begin() as session:
        context.turn.fence(session)
        past = list_fillings(session, deployment.alias, PACES)
        paces = list_paces(past, way.name, {model.model for model in deployment.spec.models})
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
    green: NewCollection,
    makers: Mapping[str, Maker],
    records: Sequence[Record],
) -> dict[str, list[str]]:
    """Returns the texts that must be embedded, by the vector's name, as the filling finds them."""
    store = context.services.store
    blue = context.deployment.blue
    live = find_live_vectors(store, blue, green.schema) if blue is not None else None
    vectors = RecordVectors(store, green.vectors, makers, live, VectorCounts())
    found: dict[str, list[str]] = {name: [] for name in makers}
    for start in range(0, len(records), _WINDOW):
        window = records[start : start + _WINDOW]
        if vectors.reads_from is not None:
            store.pace(vectors.reads_from)
        by_id: dict[PointId, Record] = {record.point_id: record for record in window}
        for name, texts in vectors.find_missing_texts(by_id).items():
            found[name] += texts
    return found
