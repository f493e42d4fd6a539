"""By which of the judged records a query can be judged: an index changes, and judgments get old.

Only records on both sides count for a verdict. A record that left the source is not a loss, and a
new record is not a gain; an id that no record has is a typing error. A record that the source has
and green lacks is a loss and counts as one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qdrant_rollouts.core.gate.evidence.context import GateContext, JudgedQuery
from qdrant_rollouts.core.ports import PointId
from qdrant_rollouts.core.sanitize.quoting import quote_value

#: How many are named in a line of the report.
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class SortedJudgments:
    """``counted``: grades that both sides are judged by, with 0 for records judged not useful.
    ``new``: grades of records that live lacks. ``gone``: records that live has and green lacks, if
    no source says whether they left."""

    counted: Mapping[PointId, float]
    new: Mapping[PointId, float] = field(default_factory=dict)
    gone: Mapping[PointId, float] = field(default_factory=dict)
    left: frozenset[PointId] = frozenset()
    records: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def relevant(self) -> bool:
        return any(grade > 0 for grade in self.counted.values())


def sort_judgments(gate: GateContext, queries: Sequence[str]) -> dict[str, SortedJudgments]:
    """Returns the judgments of each query. Needs ``origin`` if there is a source."""
    judged = {one.query: one for one in gate.judged}
    chosen = [judged[query] for query in queries]
    wanted = list({id for one in chosen for id in one.every})
    green = _existing_ids(gate, gate.green, wanted)
    live = None
    if gate.blue:
        live = _existing_ids(gate, gate.blue, wanted)
    source = _ids_in_source(gate)
    return {one.query: _sort_query(one, green, live, source) for one in chosen}


def describe_left_out(gate: GateContext) -> list[str]:
    """Returns lines of the report: ids that no record has, and ids that only another spelling
    finds."""
    found = list_left_out(gate)
    lines = []
    if unknown := found.get("unknown"):
        lines.append(
            f"no record has these ids of validation.judged: {_name_some(unknown)}; correct them, "
            "or leave them out"
        )
    if respelled := found.get("respelled"):
        lines.append(
            "ids of validation.judged that records have as the other of text and number: "
            f"{_name_some(respelled)}"
        )
    return lines


def list_left_out(gate: GateContext) -> dict[str, list[str]]:
    """Returns by kind the records that do not count, each once."""
    found: dict[str, list[str]] = {}
    for row in gate.memory.get("asked", {}).get("rows", []):
        for kind, names in row.get("records", {}).items():
            found[kind] = list(dict.fromkeys([*found.get(kind, []), *names]))
    return found


def _name_some(names: Sequence[str]) -> str:
    more = ""
    if len(names) > _EXAMPLES:
        more = f" and {len(names) - _EXAMPLES:,} more"
    return ", ".join(map(quote_value, names[:_EXAMPLES])) + more


def _existing_ids(
    gate: GateContext, collection: str | None, ids: Sequence[PointId]
) -> set[PointId]:
    if not ids or collection is None:
        return set()
    return {point.id for point in gate.store.fetch(collection, ids, vectors=False)}


def _ids_in_source(gate: GateContext) -> set[PointId] | None:
    """Returns None if nothing says what the source contains."""
    memory = gate.memory.get("origin", {})
    if gate.source is None or not memory.get("complete"):
        return None
    return set(memory.get("judged", ()))


def _sort_query(
    one: JudgedQuery, green: set[PointId], live: set[PointId] | None, source: set[PointId] | None
) -> SortedJudgments:
    anywhere = green | (live or set()) | (source or set())
    counted: dict[PointId, float] = {}
    new: dict[PointId, float] = {}
    gone: dict[PointId, float] = {}
    records: dict[str, list[str]] = {}
    left = set()
    for written, grade in one.grades.items():
        id = _choose_spelling(one, written, anywhere)
        kind = _classify_record(id, green, live, source)
        if grade <= 0 or kind in ("both", "lost"):
            counted[id] = grade
        elif kind == "new":
            new[id] = grade
        elif kind == "gone":
            gone[id] = grade
        left |= {id} if kind in ("left", "gone") else set()
        if grade > 0:
            _note_record(records, one, written, id, kind)
    return SortedJudgments(counted, new, gone, frozenset(left), records)


def _choose_spelling(one: JudgedQuery, id: PointId, anywhere: Iterable[PointId]) -> PointId:
    other = one.others.get(id)
    if other is not None and id not in anywhere and other in anywhere:
        return other
    return id


def _classify_record(
    id: PointId, green: set[PointId], live: set[PointId] | None, source: set[PointId] | None
) -> str:
    if id in green:
        if live is None or id in live:
            return "both"
        return "new"
    if source is not None and id in source:
        if live is None or id in live:
            return "lost"
        return "unbuilt"
    if live is None or id not in live:
        return "unknown"
    return "gone" if source is None else "left"


def _note_record(
    records: dict[str, list[str]], one: JudgedQuery, written: PointId, id: PointId, kind: str
) -> None:
    name = one.names.get(written, str(written))
    if kind != "both":
        records.setdefault(kind, []).append(name)
    if id != written:
        records.setdefault("respelled", []).append(name)


def as_rows(grades: Mapping[PointId, float]) -> list[list[Any]]:
    """Returns JSON, whose keys cannot be numbers."""
    return [[id, grade] for id, grade in grades.items()]
