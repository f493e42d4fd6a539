"""What filling a collection will take: how many records, and how many of their texts must be
embedded. It is extrapolated from a sample of the source.
"""

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeGuard

from qdrant_rollouts.core.collections.chunks import chunk_source
from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import BadRecord, Record
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import DELTA
from qdrant_rollouts.core.deployments.steps.point_comparison import compare_window
from qdrant_rollouts.core.deployments.steps.record_vectors import (
    RecordVectors,
    VectorCounts,
    find_live_vectors,
)
from qdrant_rollouts.core.deployments.steps.sample_records import (
    estimate_bad_records,
    list_bad_records,
    parse_sample,
)
from qdrant_rollouts.core.deployments.steps.source_reader import Reader, open_comparer
from qdrant_rollouts.core.deployments.steps.source_sample import (
    Bounds,
    Sample,
    Stretch,
    read_sample,
)
from qdrant_rollouts.core.deployments.steps.ways import NewCollection, Way
from qdrant_rollouts.core.ports import PointId, Source
from qdrant_rollouts.core.statistics import extrapolation
from qdrant_rollouts.core.statistics.extrapolation import Place
from qdrant_rollouts.core.statistics.intervals import Interval

#: Texts of each vector that are kept, to count tokens and to measure a pace.
_TEXTS = 100
#: Records that are compared with the live collection in one request.
_WINDOW = 128
_PAYLOADS = 100


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
    comparer = open_comparer(context, source, green, makers)
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
        found = compare_window(comparer, blue, window)
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


def show_interval(found: Interval) -> dict[str, float | None]:
    """Returns an interval as JSON; an end at which nothing is known is null."""
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high if math.isfinite(found.high) else None,
    }
