"""What is done with records, made ready for one collection.

Rule: a point that an application writes has no mark of ours, as one that it writes with a client.
A mark says that this program made the point, and from what. Then the search for late writes could
take the point for untouched and write an older value over it, and reading the source again could
delete it. A catch-up loses nothing by that: it reads the mark of a point only on the side that
follows, and makes that point itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from qdrant_rollouts.core.answers.records import Written
from qdrant_rollouts.core.collections.records import MARK_KEY, BadRecord, Record, plain_vectors
from qdrant_rollouts.core.config.index_file import render_text, template_fields
from qdrant_rollouts.core.ports import Point, PointId
from qdrant_rollouts.core.records.leaders import Leader
from qdrant_rollouts.core.records.parsing import (
    Given,
    RecordId,
    check_faults,
    parse_changes,
    parse_records,
)
from qdrant_rollouts.core.sanitize.quoting import quote_value


def _has_nothing_to_check() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class PreparedWrite:
    """A write of ``ids`` that is ready for ``collection``. ``send`` may be called again. ``check``
    is asked afterwards: it returns whether the write is what it was meant to be, or must be made
    again."""

    collection: str
    ids: tuple[PointId, ...]
    send: Callable[[], None]
    answer: Written
    check: Callable[[], bool] = _has_nothing_to_check


def prepare_upsert(alias: str, leader: Leader, given: Given) -> PreparedWrite:
    """Raises Malformed for records that do not fit the collection, and what its model raises."""
    records = parse_records(given, leader.rules)
    made = leader.make_vectors(records, whole=True)
    points = [
        Point(id, plain_vectors(made[id]), dict(record.fields)) for id, record in records.items()
    ]
    return PreparedWrite(
        leader.collection,
        tuple(records),
        lambda: leader.services.store.upsert(leader.collection, points),
        {"alias": alias, "written": len(points), "deleted": 0, "not_found": []},
    )


def prepare_deletion(alias: str, leader: Leader, ids: Mapping[PointId, RecordId]) -> PreparedWrite:
    """Ids that are not there are deleted all the same: a write of them may be under way."""
    store = leader.services.store
    there = {point.id for point in store.fetch(leader.collection, list(ids), vectors=False)}
    missing = [given for id, given in ids.items() if id not in there]
    return PreparedWrite(
        leader.collection,
        tuple(ids),
        lambda: store.delete(leader.collection, list(ids)),
        {"alias": alias, "written": 0, "deleted": len(there), "not_found": missing},
    )


# --- changes --------------------------------------------------------------------------------------


def prepare_patch(alias: str, leader: Leader, given: Given) -> PreparedWrite:
    """The vectors of a text are made again if any field of it is given, also if it is the same as
    before: the record may change meanwhile. Raises as ``prepare_upsert``."""
    store = leader.services.store
    asked = parse_changes(given, leader.rules)
    found = store.fetch(leader.collection, list(asked), vectors=False)
    there = {point.id: point for point in found}
    changes = {id: one for id, one in asked.items() if id in there}
    rendered = {id: _render_texts(leader, one, there[id]) for id, one in changes.items()}
    faults = [one for one in rendered.values() if isinstance(one, BadRecord)]
    check_faults(faults, len(given))
    texts = {id: one for id, one in rendered.items() if not isinstance(one, BadRecord)}
    records = {id: replace(one, texts=texts[id]) for id, one in changes.items()}
    made = leader.make_vectors(records, whole=False)
    points = [Point(id, plain_vectors(made[id]), _build_patch(one)) for id, one in records.items()]
    missing = [one.id for id, one in asked.items() if id not in there]
    return PreparedWrite(
        leader.collection,
        tuple(records),
        lambda: store.patch_points(leader.collection, points),
        {"alias": alias, "written": len(points), "deleted": 0, "not_found": missing},
        lambda: _are_same_texts(leader, {id: one for id, one in texts.items() if one}),
    )


def _build_patch(record: Record) -> dict[str, object]:
    """The id says which record is meant, and is no change. The mark is taken away, because the
    point is not what this program made any more."""
    changed = {name: value for name, value in record.fields.items() if name != "id"}
    return {**changed, MARK_KEY: None}


def _render_texts(leader: Leader, change: Record, point: Point) -> dict[str, str] | BadRecord:
    """Returns the texts of which a field is given, by the names of their vectors. A vector that the
    application brings is not made."""
    changed = {name: value for name, value in change.fields.items() if name != "id"}
    merged = {"id": point.id, **point.payload, **changed}
    texts = {}
    for name, template in leader.rules.templates.items():
        fields = [field for field in template_fields(template) if field in changed]
        if name in change.vectors or not fields:
            continue
        text = render_text(template, merged)
        if text is None:
            why = f"leaves no text for the template {quote_value(template)} to embed"
            return BadRecord(change.where, ", ".join(fields), why)
        texts[name] = text
    return texts


def _are_same_texts(leader: Leader, texts: Mapping[PointId, Mapping[str, str]]) -> bool:
    """Returns whether the points still have the texts that their vectors were made from. Somebody
    else may have changed another field of the same text meanwhile."""
    if not texts:
        return True
    store = leader.services.store
    found = store.fetch(leader.collection, list(texts), vectors=False)
    return all(
        render_text(leader.rules.templates[name], {"id": point.id, **point.payload}) == text
        for point in found
        for name, text in texts[point.id].items()
    )
