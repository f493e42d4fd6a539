"""Embeds a sample of the source's records again and compares it with what the new collection has
stored."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import MARK_KEY, Record, build_payload, parse_row
from qdrant_rollouts.core.collections.scratch import Scratch, open_scratch
from qdrant_rollouts.core.config.index_file import render_text
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.database.step_data import UNSET
from qdrant_rollouts.core.gate.evidence import origin
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.ports import Point, PointId, Row, State, Vector
from qdrant_rollouts.core.sanitize.quoting import quote_value

_CHUNK = 16
_CHUNK_SECONDS = 5.0
_EXAMPLES = 5
#: How often a record is brought over that is written to in the same moment.
_TRIES = 5
_SAME_NUMBER = 1e-14
#: The fault of a vector that the declared model does not make from its text.
FOREIGN = "not its model's vector"


def collect_round_trip(gate: GateContext, over: IsTurnOver) -> float | None:
    """Does nothing until ``origin`` has its sample."""
    if gate.source is None:
        return None
    memory = gate.part("round_trip")
    sample = _sort_sample(gate)
    if int(memory.get("at", 0)) < len(sample):
        with open_scratch(gate.store, gate.schema, _names_made_by_server(gate)) as made:
            _compare_pieces(gate, memory, sample, made, over)
    now = gate.source.fingerprint()
    before = gate.filled.fingerprint
    if before is UNSET:
        before = gate.part("origin")["print"]
    memory["changed"] = now is None or now != before
    if int(memory.get("at", 0)) >= len(sample):
        return None
    return 0.0


def _compare_pieces(
    gate: GateContext, memory: State, sample: list[list[Any]], made: Scratch, over: IsTurnOver
) -> None:
    assert gate.source is not None
    rules = RecordRules.of(gate.plan, gate.schema, gate.spec.vector_field)
    while int(memory.get("at", 0)) < len(sample):
        if gate.source.collection is not None:
            gate.store.pace(gate.source.collection)
        at = int(memory.get("at", 0))
        size = int(memory.get("size", 1))
        began = time.monotonic()
        records = _read_records(gate, sample[at : at + size], rules)
        _compare_records(gate, memory, records, made)
        memory["at"], memory["size"] = at + size, _next_size(size, time.monotonic() - began)
        if over():
            break


def _read_records(gate: GateContext, entries: list[list[Any]], rules: RecordRules) -> list[Record]:
    """Returns the records of some entries. What was written to them since green was filled is
    brought to green first, so that it is no fault of green's; new ones are left out."""
    for _ in range(_TRIES):
        rows = [_as_embeddable(gate, row) for row in origin.read_sample(gate, entries)]
        records = [record for row in rows if isinstance(record := parse_row(row, rules), Record)]
        if gate.bring_over is None:
            break
        ids = [record.point_id for record in records]
        stored = {point.id: point for point in gate.store.fetch(gate.green, ids, vectors=False)}
        records = [record for record in records if record.point_id in stored]
        behind = [
            record.point_id
            for record in records
            if _has_other_payload(record, stored[record.point_id])
        ]
        if not behind:
            break
        gate.bring_over(behind)
    return records


def _names_made_by_server(gate: GateContext) -> list[str]:
    """Returns the vectors that only the server can make again; it made none of the copied ones."""
    return [
        name for name, maker in gate.makers.items() if maker.embedder is None and name in gate.kinds
    ]


def _next_size(size: int, seconds: float) -> int:
    """Few at first, because each record of a slow source takes time."""
    if seconds < _CHUNK_SECONDS:
        return min(2 * size, _CHUNK)
    return max(1, size // 2)


def _sort_sample(gate: GateContext) -> list[list[Any]]:
    """In the order of the source, so that a file is read forwards."""
    entries: list[list[Any]] = gate.part("origin")["sample"]
    return sorted(entries, key=lambda entry: (entry[2] or {}).get("n", 0))


def _as_embeddable(gate: GateContext, row: Row) -> Row:
    """For points, only the vectors that were copied are needed; copied points may have any
    payload."""
    if row.point_id is None or row.fields is None:
        return row
    if gate.filled.way in {"copy", "snapshot"}:
        return replace(
            row, fields={name: value for name, value in row.fields.items() if name != MARK_KEY}
        )
    return replace(row, vector=gate.plan.taken_from_points(vectors_by_name(row.vector)))


def _compare_records(
    gate: GateContext, memory: State, records: Sequence[Record], made: Scratch
) -> None:
    stored = {
        p.id: p
        for p in gate.store.fetch(gate.green, [record.point_id for record in records], vectors=True)
    }
    wanted = _make_vectors(gate, records, made)
    foreign = _find_foreign(gate, records, stored)
    for record, vector in zip(records, wanted, strict=True):
        memory["checked"] = int(memory.get("checked", 0)) + 1
        fault = _find_record_fault(gate, record, vector, stored.get(record.point_id))
        if record.point_id in foreign:
            fault = FOREIGN
        if fault:
            kinds = memory.setdefault("faults", {})
            kinds[fault] = int(kinds.get(fault, 0)) + 1
            memory["examples"] = [
                *memory.get("examples", []),
                f"{quote_value(record.id)} ({fault})",
            ][:_EXAMPLES]


def _make_vectors(
    gate: GateContext, records: Sequence[Record], made: Scratch
) -> list[dict[str, Any]]:
    """Returns each record's vectors by name; those made from its texts are made again."""
    wanted = [dict(record.vectors) for record in records]
    for name, maker in gate.makers.items():
        texts = {
            at: record.texts[name] for at, record in enumerate(records) if name in record.texts
        }
        if not texts or maker.embedder is None:
            continue
        for at, vector in zip(texts, maker.documents(list(texts.values())), strict=True):
            wanted[at][name] = vector
    found = _made_by_the_server(gate, records, made)
    return [{**one, **also} for one, also in zip(wanted, found, strict=True)]


def _made_by_the_server(
    gate: GateContext, records: Sequence[Record], made: Scratch
) -> list[dict[str, Any]]:
    """Reads the vectors back from the place where the server made them, because there is no other
    way to get their numbers."""
    names = _names_made_by_server(gate)
    texts = [
        {
            name: gate.makers[name].by_the_server(record.texts[name])
            for name in names
            if name in record.texts
        }
        for record in records
    ]
    if any(texts):
        return made.vectors(texts)
    return [{} for _ in records]


def _find_foreign(
    gate: GateContext, records: Sequence[Record], stored: Mapping[PointId, Point]
) -> set[PointId]:
    """Returns the records that brought a vector with a declared model, and whose stored vector the
    model does not make from the stored text. A vector that was stored without its text cannot be
    checked."""
    found: set[PointId] = set()
    for name, maker in gate.makers.items():
        brought = [
            stored[one.point_id]
            for one in records
            if name in one.vectors and one.point_id in stored
        ]
        texts = [(point, render_text(maker.template, point.payload)) for point in brought]
        told = [
            (point, text)
            for point, text in texts
            if text is not None and name in vectors_by_name(point.vector)
        ]
        if not told or maker.embedder is None or name not in gate.kinds:
            continue
        kind, params = gate.kinds[name]
        for (point, _), made in zip(told, maker.documents([text for _, text in told]), strict=True):
            if not kind.resembles(params, made, vectors_by_name(point.vector)[name]):
                found.add(point.id)
    return found


def _find_record_fault(
    gate: GateContext, record: Record, vector: Vector, stored: Point | None
) -> str:
    if stored is None:
        return "missing"
    if _has_other_payload(record, stored):
        return "another payload"
    return _find_vector_fault(gate, vector, stored.vector)


def _has_other_payload(record: Record, stored: Point | None) -> bool:
    return stored is None or not are_alike(
        _plain_payload(stored.payload, record), _plain_payload(build_payload(record, {}, 0), record)
    )


def are_alike(one: Any, other: Any) -> bool:
    """Equal as JSON, except for the last digits of fractions: a server that reads decimals fast
    changes one in six numbers of 17 digits by up to three units in the last place (measured on
    Qdrant 1.16.3, both APIs)."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(are_alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(are_alike, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if (
        isinstance(one, int | float)
        and isinstance(other, int | float)
        and float in {type(one), type(other)}
    ):
        return math.isclose(one, other, rel_tol=_SAME_NUMBER, abs_tol=sys.float_info.min)
    return bool(one == other)


def _plain_payload(content: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """Removes our own mark, and an id that only repeats the point's."""
    return {
        name: value
        for name, value in content.items()
        if name != MARK_KEY and not (name == "id" and value == record.point_id)
    }


def _find_vector_fault(gate: GateContext, wanted: Vector, stored: Vector) -> str:
    wanted_by = vectors_by_name(wanted)
    stored_by = vectors_by_name(stored)
    for name, (kind, params) in gate.kinds.items():
        if name not in wanted_by:
            continue
        if name not in stored_by:
            return "no vector"
        if not kind.same(params, wanted_by[name], stored_by[name]):
            return "another vector"
    return ""
