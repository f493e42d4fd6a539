"""Reads the source once more: how many records it has, and a sample of them to compare with what is
stored."""

from collections.abc import Iterator
from typing import Any

from qdrant_rollouts.core.collections.records import point_row
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.gate.evidence.payloads import index_types, tally_fields
from qdrant_rollouts.core.ports import PointId, Row, Source, State
from qdrant_rollouts.core.ports.naming import point_id
from qdrant_rollouts.core.statistics.sampling import offer_id

_PAGE = 4096


def collect_origin(gate: GateContext, over: IsTurnOver) -> float | None:
    source = gate.source
    if source is None:
        return None
    memory = gate.part("origin")
    memory.setdefault("sample", [])
    memory.setdefault("print", source.fingerprint())
    (_sample_rows if source.collection is None else _sample_points)(gate, source, memory, over)
    return None if memory["read"] else 0.0


def read_sample(gate: GateContext, entries: list[list[Any]]) -> Iterator[Row]:
    """Returns the rows of some entries of the sample, read again."""
    assert gate.source is not None
    if gate.source.collection is None:
        for _, _, before in entries:
            yield from _take_first(gate.source.read(before))
        return
    points = gate.store.fetch(gate.source.collection, [id for _, id, _ in entries], vectors=True)
    for point in points:
        yield point_row(point, f"point {point.id}", {"done": 0})


def _take_first(rows: Iterator[Row]) -> Iterator[Row]:
    row = next(rows, None)
    if row is not None:
        yield row


def _sample_points(gate: GateContext, source: Source, memory: State, over: IsTurnOver) -> None:
    assert source.collection is not None
    while not memory.get("read"):
        gate.store.pace(source.collection)
        points, after = gate.store.scroll(
            source.collection, memory.get("after"), _PAGE, vectors=False, payload=False
        )
        for point in points:
            _offer_record(gate, memory, point.id, None)
        memory["rows"] = int(memory.get("rows", 0)) + len(points)
        memory["after"], memory["read"] = after, after is None
        if over():
            return


def _sample_rows(gate: GateContext, source: Source, memory: State, over: IsTurnOver) -> None:
    """A row is found again with the cursor **before** it."""
    before = memory.get("cursor")
    wanted = index_types(gate, "green")
    memory["read"] = False
    for row in source.read(before):
        id = (row.fields or {}).get("id")
        if isinstance(id, int | str) and not isinstance(id, bool):
            memory["rows"] = int(memory.get("rows", 0)) + 1
            tally_fields(memory.setdefault("fields", {}), wanted, row.fields or {})
            _offer_record(gate, memory, point_id(id), before)
        before = memory["cursor"] = row.cursor
        if over():
            return
    memory["read"] = True


def _offer_record(gate: GateContext, memory: State, id: PointId, note: Any) -> None:
    validation = gate.spec.validation
    if id in gate.judged_points:
        memory.setdefault("judged", []).append(id)
    offer_id(memory["sample"], validation.samples.records, validation.seed, id, note)
