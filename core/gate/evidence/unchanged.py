"""Compares records that have the same text in both collections, with their vectors and payloads.

Rule: a vector must be the same if the same maker made it of the same text, if it is carried over,
and if it came with the records before and now. It may differ if model, text template, size,
distance or datatype is newly declared, if live's maker is unknown, and if an application has
written live's point itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from qdrant_rollouts.core.collections.chunks import CHUNK_FIELD
from qdrant_rollouts.core.collections.records import MARK_KEY, stored_hashes
from qdrant_rollouts.core.collections.schema import are_same_vectors, vector_names
from qdrant_rollouts.core.collections.stamps import MadeBy, Stamp, read_stamp
from qdrant_rollouts.core.config.index_file import render_text
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.gate.evidence.asking import PATIENCE
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver, LiveCollection
from qdrant_rollouts.core.gate.evidence.round_trip import are_alike
from qdrant_rollouts.core.gate.evidence.texts import sort_words, text_of
from qdrant_rollouts.core.gate.evidence.vectors import drawn_ids
from qdrant_rollouts.core.ports import Point, PointId, Schema, SearchParams, State

_CHUNK = 64
_EXAMPLES = 5
#: How often a record is brought over that is written to in the same moment.
_TRIES = 5
#: How many changed records' texts are looked for under other ids, and how many results of each
#: search.
_SOUGHT = 60
_NEAREST = 3


def collect_unchanged(gate: GateContext, over: IsTurnOver) -> float | None:
    """Needs the ids of ``vectors``."""
    if gate.live is None:
        return None
    memory = gate.part("unchanged")
    ids = drawn_ids(gate)
    beside = _BesideLive(gate, gate.live)
    memory["names"] = {name: beside.why(name) for name in beside.names}
    while not _has_enough(gate, memory, ids):
        gate.breathe()
        at = int(memory.get("at", 0))
        beside.look(memory, ids[at : at + _CHUNK])
        memory["at"] = at + _CHUNK
        if over():
            break
    if _has_enough(gate, memory, ids):
        return None
    return 0.0


def _has_enough(gate: GateContext, memory: State, ids: Sequence[PointId]) -> bool:
    found = int(memory.get("same", 0)) >= gate.spec.validation.samples.records
    return found or int(memory.get("at", 0)) >= len(ids)


def _without_mark(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name != MARK_KEY}


@dataclass(frozen=True)
class _BesideLive:
    gate: GateContext
    live: LiveCollection

    @cached_property
    def schema(self) -> Schema:
        return self.gate.store.schema(self.live.collection)

    @cached_property
    def stamp(self) -> Stamp | None:
        return read_stamp(self.gate.store, self.live.collection)

    @cached_property
    def made_before(self) -> Mapping[str, MadeBy]:
        if self.stamp is None:
            return {}
        return self.stamp.made

    @cached_property
    def are_both_ours(self) -> bool:
        """Or neither is ours: both times the vectors came with the records, as far as is known."""
        return (self.stamp is None) == (read_stamp(self.gate.store, self.gate.green) is None)

    @property
    def comes_from_live(self) -> bool:
        return self.gate.source is not None and self.gate.source.collection == self.live.collection

    @property
    def names(self) -> list[str]:
        """The vectors that both collections have."""
        return [name for name in self.gate.kinds if name in vector_names(self.schema)]

    @cached_property
    def compared(self) -> frozenset[str]:
        return frozenset(name for name in self.names if not self.why(name))

    def why(self, name: str) -> str:
        """Returns why vectors of that name may differ; empty if they must be the same."""
        if not are_same_vectors(self.schema, self.gate.schema, name):
            return "its settings are newly declared"
        ours = self.gate.makers.get(name)
        theirs = self.made_before.get(name)
        if name in self.gate.plan.carried or (ours is None and self.comes_from_live):
            return ""
        if ours is None and theirs is None:
            return self._why_given()
        if ours is None or theirs is None:
            return "nothing says that the same model made both"
        if ours.identity != theirs.identity:
            return "its model is newly declared"
        return "" if ours.template == theirs.template else "its text is newly declared"

    def _why_given(self) -> str:
        if self.gate.spec.accept_new_model:
            return "its model may be another one (accept_new_model)"
        if self.are_both_ours:
            return ""
        return "only one of the collections says where its vectors come from"

    def look(self, memory: State, ids: Sequence[PointId]) -> None:
        common = self._read_pairs(ids)
        memory["common"] = int(memory.get("common", 0)) + len(common)
        changed = [pair for pair in common if not self._compare_pair(memory, *pair)]
        memory["changed"] = int(memory.get("changed", 0)) + len(changed)
        self._seek_moved(memory, changed)

    def _read_pairs(self, ids: Sequence[PointId]) -> list[tuple[Point, Point]]:
        """Returns the points that both collections have. What was written to live since green was
        filled is brought to green first."""
        store = self.gate.store
        bring_over = self.gate.bring_over if self.comes_from_live else None
        for _ in range(_TRIES):
            ours = {point.id: point for point in store.fetch(self.gate.green, ids, vectors=True)}
            theirs = {
                point.id: point for point in store.fetch(self.live.collection, ids, vectors=True)
            }
            common = [(ours[id], theirs[id]) for id in ids if id in ours and id in theirs]
            behind = [one.id for one, other in common if not self._has_same_payload(one, other)]
            if bring_over is None or not behind:
                break
            bring_over(behind)
        return common

    def _compare_pair(self, memory: State, ours: Point, theirs: Point) -> bool:
        """Is this a record that did not change? If so, it is compared."""
        same = self._says_the_same(ours, theirs)
        names = [
            name
            for name in self.gate.kinds
            if name in self.compared and self._must_be_equal(name, ours, theirs)
        ]
        if not same and not names:
            return False
        memory["same"] = int(memory.get("same", 0)) + 1
        if same:
            self._compare_payloads(memory, ours, theirs)
        memory["vectors"] = int(memory.get("vectors", 0)) + len(names)
        faults = {name: fault for name in names if (fault := self._find_fault(name, ours, theirs))}
        if faults:
            _note_faults(memory, faults, ours.id)
        self._compare_loosely(memory, ours, theirs, same=same)
        return True

    def _says_the_same(self, ours: Point, theirs: Point) -> bool:
        """Compares every text that vectors are made from; the whole payload if there is none."""
        templates = dict.fromkeys(self.gate.plan.templates.values())
        if not templates:
            return are_alike(_without_mark(ours.payload), _without_mark(theirs.payload))
        return all(_has_same_text(template, ours, theirs) for template in templates)

    def _must_be_equal(self, name: str, ours: Point, theirs: Point) -> bool:
        maker = self.gate.makers.get(name)
        if name in self.gate.plan.carried:
            return self._says_the_same(ours, theirs)
        if maker is None:
            return self._says_the_same(ours, theirs) and self._has_same_payload(ours, theirs)
        before = stored_hashes(theirs.payload, self.stamp.vector if self.stamp else "").get(name)
        if before is None:
            return False
        now = stored_hashes(ours.payload, self.gate.vector).get(name)
        return before == now or _has_same_text(maker.template, ours, theirs)

    def _has_same_payload(self, ours: Point, theirs: Point) -> bool:
        return are_alike(_without_mark(ours.payload), _without_mark(theirs.payload))

    def _find_fault(self, name: str, ours: Point, theirs: Point) -> str:
        one = vectors_by_name(ours.vector)
        other = vectors_by_name(theirs.vector)
        if name not in other:
            return ""
        if name not in one:
            if self._may_be_missing(name):
                return ""
            return "no vector"
        kind, params = self.gate.kinds[name]
        if kind.same(params, other[name], one[name]):
            return ""
        return "another vector"

    def _may_be_missing(self, name: str) -> bool:
        return name in self.gate.plan.optional | self.gate.plan.copied and not self.comes_from_live

    def _compare_payloads(self, memory: State, ours: Point, theirs: Point) -> None:
        one = _without_mark(ours.payload)
        other = _without_mark(theirs.payload)
        if are_alike(one, other):
            return
        memory["payloads"] = int(memory.get("payloads", 0)) + 1
        fields = memory.setdefault("fields", {})
        for name in sorted({*one, *other}):
            if name not in one or name not in other or not are_alike(one[name], other[name]):
                fields[name] = int(fields.get(name, 0)) + 1

    def _compare_loosely(self, memory: State, ours: Point, theirs: Point, *, same: bool) -> None:
        """A vector that came with the record may depend on a part of the payload that did
        change."""
        if not same or self._has_same_payload(ours, theirs):
            return
        for name in self.compared - self.gate.makers.keys() - self.gate.plan.carried.keys():
            counts = memory.setdefault("loose", {}).setdefault(name, {"of": 0, "other": 0})
            counts["of"] += 1
            counts["other"] += bool(self._find_fault(name, ours, theirs))

    def _seek_moved(self, memory: State, changed: Sequence[tuple[Point, Point]]) -> None:
        """Does live have the texts of these records under other ids? Searches by their vectors and
        compares the texts."""
        name = self.gate.vector
        gate = self.gate
        if name not in self.compared or name != self.live.vector:
            return
        most = _SOUGHT
        if gate.live_reads is not None:
            most = min(_SOUGHT, gate.live_reads)
        kind = gate.kinds[name][0]
        able = [(one, vectors_by_name(one.vector).get(name)) for one, _ in changed]
        asked = [
            (one, vector) for one, vector in able if vector is not None and kind.askable(vector)
        ]
        for one, vector in asked[: max(0, most - int(memory.get("sought", 0)))]:
            memory["sought"] = int(memory.get("sought", 0)) + 1
            gate.pace.wait(1)
            hits = gate.store.search(
                self.live.collection, vector, _NEAREST, SearchParams(using=name, seconds=PATIENCE)
            )
            found = next(
                (hit.id for hit in hits if hit.id != one.id and self._is_said_by(one, hit.payload)),
                None,
            )
            if found is not None and found not in memory.setdefault("moved", []):
                memory["moved"].append(found)
                pair = f"{one.id} says what {found} says on live"
                memory["moves"] = [*memory.get("moves", []), pair][:_EXAMPLES]

    def _is_said_by(self, one: Point, payload: Mapping[str, Any]) -> bool:
        """Chunks of one document move with every paragraph that is added before them."""
        ours, theirs = (text_of(self.gate.plan.templates, said) for said in (one.payload, payload))
        if _document_of_chunk(payload) is not None and _document_of_chunk(
            payload
        ) == _document_of_chunk(one.payload):
            return False
        return ours is not None and theirs is not None and sort_words(ours) == sort_words(theirs)


def _has_same_text(template: str, ours: Point, theirs: Point) -> bool:
    one = render_text(template, ours.payload)
    other = render_text(template, theirs.payload)
    return one is not None and one == other


def _document_of_chunk(payload: Mapping[str, Any]) -> Any:
    """Returns the document that it is a chunk of, None for a whole one."""
    chunk = payload.get(CHUNK_FIELD)
    if not isinstance(chunk, Mapping):
        return None
    return chunk.get("document")


def _note_faults(memory: State, faults: Mapping[str, str], id: PointId) -> None:
    memory["wrong"] = int(memory.get("wrong", 0)) + 1
    for name, fault in faults.items():
        kinds = memory.setdefault("faults", {}).setdefault(name, {})
        kinds[fault] = int(kinds.get(fault, 0)) + 1
    told = ", ".join(f"{fault} {name}".strip() for name, fault in faults.items())
    memory["examples"] = [*memory.get("examples", []), f"{id} ({told})"][:_EXAMPLES]
