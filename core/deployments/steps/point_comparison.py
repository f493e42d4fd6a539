"""Records beside the points of a collection: which points stay as they are, and which are made
again.

Rule: a point's mark says what it was made from. Where green must have exactly the points that all
records make (``Reader.fills``), more is compared than the marks.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from qdrant_rollouts.core.collections.origins import are_same_values, digest_row
from qdrant_rollouts.core.collections.records import MARK_KEY, Record, read_mark, stored_hashes
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.deployments.steps.source_reader import Reader
from qdrant_rollouts.core.ports import Point, PointId, Row


@dataclass(slots=True)
class Compared:
    """A window of records beside a collection: the records whose point must be made, and the other
    ones with the names of their point's vectors. ``there``: how many of all have some point."""

    changed: dict[PointId, Record]
    kept: list[tuple[Record, Collection[str]]]
    origins: dict[PointId, str]
    there: int


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
