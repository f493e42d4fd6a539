"""Which fields points have: in a sample of green's points, in the same points of live, and in a
source that is a collection. Filters use these fields, and vectors say nothing about them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.collections.records import MARK_KEY
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.ports import Point, PointId, State
from qdrant_rollouts.core.ports.payload_values import has_value, is_held_by_index, list_field_types

#: Points per request; fewer if each may count against a rate.
_PAGE = 100
_FEW = 16
#: How many fields are reported; a collection with more uses data as field names.
_MOST = 200
_LONGEST = 60


def collect_payloads(gate: GateContext, over: IsTurnOver) -> float | None:
    memory = gate.part("payloads")
    for side, collection in _collections_by_side(gate).items():
        found = memory.setdefault(side, _empty_counts())
        ids = found.setdefault("ids", _ids_of_side(gate, side, collection))
        size = _FEW
        if gate.store.limits(collection).read_rate_limit is None:
            size = _PAGE
        while int(found["at"]) < len(ids):
            gate.store.pace(collection)
            page = gate.store.fetch(
                collection, ids[found["at"] : found["at"] + size], vectors=False
            )
            _note_points(gate, side, found, page)
            found["at"] += size
            if over():
                return 0.0
        if side == "live" and found["n"] * 2 < len(ids) and not found.get("drawn"):
            memory[side] = {**_empty_counts(), "ids": _draw_ids(gate, collection), "drawn": True}
            return 0.0
    return None


def index_types(gate: GateContext, side: str) -> dict[str, str]:
    """Returns the payload indexes that should hold this side's points: field and type."""
    if side == "live" and gate.live:
        schema = gate.store.schema(gate.live.collection)
    else:
        schema = gate.schema
    return {field: str(index["data_type"]) for field, index in schema["payload_schema"].items()}


def tally_fields(counts: State, wanted: Mapping[str, str], payload: Mapping[str, Any]) -> None:
    """Adds one payload: for each index, whether its field exists and whether the index would hold
    it."""
    for field, data_type in wanted.items():
        one = counts.setdefault(field, [0, 0])
        if has_value(payload, field):
            one[0] += 1
            one[1] += is_held_by_index(payload, field, data_type)


def _collections_by_side(gate: GateContext) -> dict[str, str]:
    found = {"green": gate.green}
    if gate.live is not None:
        found["live"] = gate.live.collection
    if gate.source is not None and gate.source.collection is not None:
        found["source"] = gate.source.collection
    return found


def _empty_counts() -> State:
    return {"at": 0, "n": 0, "indexed": {}, "fields": {}, "examples": {}}


def _ids_of_side(gate: GateContext, side: str, collection: str) -> list[PointId]:
    sample = gate.part("vectors").get("sample", [])[: gate.spec.validation.samples.records]
    ids = [id for _, id, _ in sample]
    if not ids:
        ids = [
            point.id
            for point in gate.store.scroll(gate.green, None, _PAGE, vectors=False, payload=False)[0]
        ]
    if side == "live":
        return ids[: gate.live_reads]
    return ids


def _draw_ids(gate: GateContext, collection: str) -> list[PointId]:
    """Draws points of live separately, if it has few of green's."""
    assert gate.live is not None
    size = gate.spec.validation.samples.records
    try:
        points = gate.store.sample(collection, gate.live.vector, size)
    except Refused:
        points = gate.store.scroll(collection, None, size, vectors=False, payload=False)[0]
    return [point.id for point in points][: gate.live_reads]


def _note_points(gate: GateContext, side: str, found: State, points: Sequence[Point]) -> None:
    wanted = index_types(gate, side)
    for point in points:
        payload = {name: value for name, value in point.payload.items() if name != MARK_KEY}
        found["n"] += 1
        tally_fields(found["indexed"], wanted, payload)
        for field, word in dict(list_field_types(payload)).items():
            kinds = found["fields"].setdefault(field, {})
            kinds[word] = int(kinds.get(word, 0)) + 1
        _keep_examples(found["examples"], wanted, payload)
    found["fields"] = dict(_most_frequent_fields(found["fields"].items()))


def _keep_examples(examples: State, wanted: Mapping[str, str], payload: Mapping[str, Any]) -> None:
    """Stores one value that each index does not hold."""
    for field, data_type in wanted.items():
        if (
            field not in examples
            and has_value(payload, field)
            and not is_held_by_index(payload, field, data_type)
        ):
            examples[field] = repr(payload.get(field.split(".")[0].removesuffix("[]")))[:_LONGEST]


def _most_frequent_fields(
    found: Iterable[tuple[str, Mapping[str, int]]],
) -> list[tuple[str, Mapping[str, int]]]:
    return sorted(found, key=lambda one: -sum(Counter(one[1]).values()))[:_MOST]
