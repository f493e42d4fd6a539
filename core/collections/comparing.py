"""Compares two versions of an index: settings, model, counts, and which records differ.

Records are compared on samples that are always the same (``core.statistics.sampling``): the ids
with the smallest hashes of both collections. So a record in both collections is in both samples or
in neither, up to their size, and two collections that fit into a sample are compared completely.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.records import MARK_KEY, read_mark
from qdrant_rollouts.core.collections.schema import (
    are_same_vectors,
    list_changes_of_both,
    vector_kind,
    vector_names,
    vector_params,
)
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.collections.version_names import find_version
from qdrant_rollouts.core.config.vector_kinds import Kind, vectors_by_name
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.defaults import COMPARED
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import CollectionStore, Point, PointId, PointStore, VectorStore
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.sampling import Sample, offer_id

_SEED = 7
_PAGE = 1000
_FETCHED = 256
_EXAMPLES = 5
_MODEL = (
    "model",
    "revision",
    "dtype",
    "template",
    "chunk",
    "vector",
    "dimension",
    "reads",
    "identity",
)
_COUNTS = ("records", "points", "bad", "reused", "embedded", "truncated")


def diff_versions(
    services: Services, alias: str, one: str, other: str, sample: int = COMPARED
) -> dict[str, Any]:
    """Returns what changed from version ``one`` of ``alias`` to ``other``; each is a number or a
    collection. If a collection is gone, records cannot be compared and ``content`` is None."""
    rows = [find_version(services, alias, named) for named in (one, other)]
    if rows[0].collection == rows[1].collection:
        raise Refused(
            f"{quote_value(one)} and {quote_value(other)} are the same version of {alias}; name two"
        )
    there = services.store.collections()
    gone = [row.collection for row in rows if row.collection not in there]
    facts = [_facts_of_version(services.store, row, there) for row in rows]
    return {
        "alias": alias,
        "from": {"number": rows[0].number, "collection": rows[0].collection},
        "to": {"number": rows[1].number, "collection": rows[1].collection},
        "gone": gone,
        "schema": _compare_schema_hashes(facts) if gone else _compare_schemas(services.store, rows),
        "model": _pair_facts(facts, _MODEL, only_different=True),
        "counts": _pair_facts(facts, _COUNTS, only_different=False),
        "content": None if gone else _compare_content(services.store, rows, facts, sample),
    }


def _facts_of_version(store: VectorStore, row: Version, there: set[str]) -> dict[str, Any]:
    """Uses the row. If the collection exists, its points are counted now, and for an old row
    without a model the stamp is read."""
    if row.collection not in there:
        return dict(row.facts)
    stamp = read_stamp(store, row.collection)
    counted = {"points": estimate_points(store, row.collection)}
    if "identity" in row.facts or stamp is None:
        return {**row.facts, **counted}
    spec = stamp.embedding or {}
    told = {
        "model": spec.get("model"),
        "revision": spec.get("revision"),
        "dtype": spec.get("dtype"),
    }
    rest = {"template": spec.get("text"), "chunk": spec.get("chunk"), "vector": stamp.vector}
    return {**told, **rest, "identity": stamp.identity, **row.facts, **counted}


def _pair_facts(
    facts: Sequence[Mapping[str, Any]], names: Sequence[str], *, only_different: bool
) -> dict[str, list[Any]]:
    one, other = facts
    return {
        name: [one.get(name), other.get(name)]
        for name in names
        if (name in one or name in other)
        and not (only_different and one.get(name) == other.get(name))
    }


def _compare_schemas(store: CollectionStore, rows: Sequence[Version]) -> list[str]:
    one, other = (store.schema(row.collection) for row in rows)
    return list_changes_of_both(one, other)


def _compare_schema_hashes(facts: Sequence[Mapping[str, Any]]) -> list[str]:
    one, other = (each.get("schema") for each in facts)
    if one is None or other is None:
        return ["unknown: a collection is gone, and its settings were not written down"]
    if one == other:
        return []
    return ["they differ; the differences cannot be listed, because a collection is gone"]


def _compare_content(
    store: VectorStore, rows: Sequence[Version], facts: Sequence[Mapping[str, Any]], size: int
) -> dict[str, Any]:
    one, other = (row.collection for row in rows)
    (ours, seen), (theirs, seen_there) = (_sample_ids(store, name, size) for name in (one, other))
    same_model = facts[0].get("identity") == facts[1].get("identity")
    given = same_model and facts[0].get("identity") is None
    in_one, in_other = (
        _fetch_points(store, name, [*ours, *theirs], vectors=given) for name in (one, other)
    )
    common = [id for id in ours if id in in_other]
    kinds = _kinds_in_both(store, one, other) if given else {}
    changed = [
        id
        for id in common
        if id in in_one and _has_changed(in_one[id], in_other[id], same_model, kinds)
    ]
    return {
        "complete": seen <= size and seen_there <= size,
        "added": _summarize_points(
            [in_other[id] for id in theirs if id in in_other and id not in in_one], len(theirs)
        ),
        "removed": _summarize_points(
            [in_one[id] for id in ours if id in in_one and id not in in_other], len(ours)
        ),
        "changed": _summarize_points([in_other[id] for id in changed], len(common)),
    }


def _sample_ids(store: PointStore, collection: str, size: int) -> tuple[list[PointId], int]:
    """Returns the ids with the smallest hashes, and the total number of points."""
    sample: Sample = []
    seen = 0
    for id in _scroll_ids(store, collection):
        offer_id(sample, size, _SEED, id)
        seen += 1
    return [entry[1] for entry in sample], seen


def _scroll_ids(store: PointStore, collection: str) -> Iterator[PointId]:
    after: PointId | None = None
    while True:
        page, following = store.scroll(collection, after, _PAGE, vectors=False, payload=False)
        yield from (point.id for point in page)
        if following is None:
            return
        after = following


def _fetch_points(
    store: PointStore, collection: str, ids: Sequence[PointId], *, vectors: bool
) -> dict[PointId, Point]:
    wanted = list(dict.fromkeys(ids))
    found: dict[PointId, Point] = {}
    for start in range(0, len(wanted), _FETCHED):
        points = store.fetch(collection, wanted[start : start + _FETCHED], vectors=vectors)
        found |= {point.id: point for point in points}
    return found


def _kinds_in_both(
    store: CollectionStore, one: str, other: str
) -> dict[str, tuple[Kind, dict[str, Any]]]:
    """Returns kind and settings of the vectors that both collections store alike."""
    ours = store.schema(one)
    theirs = store.schema(other)
    return {
        name: (vector_kind(ours, name), vector_params(ours, name))
        for name in vector_names(ours)
        if are_same_vectors(ours, theirs, name)
    }


def _has_changed(
    one: Point, other: Point, same_model: bool, kinds: Mapping[str, tuple[Kind, dict[str, Any]]]
) -> bool:
    """A record has changed if other fields, or another text from its fields, are stored. The
    content hash covers the text **and** the model, so with another model all hashes differ and say
    nothing. If no text was embedded, the vectors are compared."""
    if _fields_of_point(one) != _fields_of_point(other):
        return True
    hashes = [read_mark(point.payload).get("hash") for point in (one, other)]
    if same_model and hashes == [None, None]:
        return _has_other_vectors(one, other, kinds)
    return same_model and hashes[0] != hashes[1]


def _has_other_vectors(
    one: Point, other: Point, kinds: Mapping[str, tuple[Kind, dict[str, Any]]]
) -> bool:
    ours = vectors_by_name(one.vector)
    theirs = vectors_by_name(other.vector)
    common = {name: kind for name, kind in kinds.items() if name in ours or name in theirs}
    return any(
        name not in ours or name not in theirs or not kind.same(params, ours[name], theirs[name])
        for name, (kind, params) in common.items()
    )


def _fields_of_point(point: Point) -> dict[str, Any]:
    return {name: value for name, value in point.payload.items() if name != MARK_KEY}


def _summarize_points(points: Sequence[Point], of: int) -> dict[str, Any]:
    ids = [point.payload.get("id", point.id) for point in points]
    return {"count": len(points), "of": of, "examples": ids[:_EXAMPLES]}
