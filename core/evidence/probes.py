"""What the gate asks: the queries people gave, and stored vectors of the new collection."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.evidence.context import GateContext
from core.evidence.titles import queries
from core.kinds import KINDS, by_name
from core.ports import Embedder, Hit, PointId, QueryVector

#: How deep a judged query is looked into (recall@100), and any other.
DEEP, SHALLOW = 100, 10


@dataclass(frozen=True, slots=True)
class Probe:
    """Either a query's ``text`` or the ``point`` whose vector is asked; ``grades`` where people have judged."""

    text: str | None = None
    point: PointId | None = None
    grades: Mapping[PointId, float] | None = None
    #: How many results are asked for.
    depth: int = SHALLOW

    @property
    def name(self) -> str:
        return f"point {self.point}" if self.text is None else self.text


@dataclass(frozen=True, slots=True)
class Asked:
    """A probe with its vector for each side; None where that side cannot be asked it."""

    probe: Probe
    green: QueryVector | None
    live: QueryVector | None


def probes(gate: GateContext) -> list[Probe]:
    """Texts first, each once; then as many stored vectors as the index file wants. The same ones in every turn."""
    judged = {one.query: one.grades for one in gate.judged}
    texts = dict.fromkeys([*queries(gate), *judged])
    wanted = max(SHALLOW, _must_be_there(gate))
    asked = [Probe(text, grades=judged.get(text), depth=DEEP if text in judged else wanted) for text in texts]
    sample = gate.part("vectors").get("sample", [])[: gate.spec.validation.samples.queries]
    return [*(asked if gate.embedder else ()), *(Probe(point=id) for _, id, _ in sample)]


def _must_be_there(gate: GateContext) -> int:
    """``min_results`` has a bound of its own, and as a check may have another."""
    said = gate.spec.validation.check("min_results")
    return math.ceil(said.bound) if said and said.bound is not None else gate.spec.validation.min_results


def with_vectors(gate: GateContext, chosen: Sequence[Probe]) -> list[Asked]:
    stored = _stored(gate, [probe.point for probe in chosen if probe.point is not None])
    return [_asked(gate, probe, stored) for probe in chosen]


def others(hits: Sequence[Hit], probe: Probe) -> list[Hit]:
    """Without the point whose own vector was asked."""
    return [hit for hit in hits if hit.id != probe.point]


def _stored(gate: GateContext, ids: Sequence[PointId]) -> dict[PointId, QueryVector]:
    """The vectors of those that can be asked: what is not finite, or empty, finds nothing
    anywhere."""
    kind = gate.kind
    if not ids or kind is None:
        return {}
    points = gate.store.fetch(gate.green, ids, vectors=True)
    found = {point.id: by_name(point.vector).get(gate.vector) for point in points}
    return {id: vector for id, vector in found.items() if vector is not None and kind.askable(vector)}


def _asked(gate: GateContext, probe: Probe, stored: Mapping[PointId, QueryVector]) -> Asked:
    live = gate.live
    if probe.point is not None:
        vector = stored.get(probe.point)
        return Asked(probe, vector, vector if live and live.same_model else None)
    assert gate.embedder is not None
    assert probe.text is not None
    made = _embedded(gate.embedder, probe.text)
    if live is None or live.embedder is None:
        return Asked(probe, made, made if live and live.same_model else None)
    return Asked(probe, made, made if live.same_model else _embedded(live.embedder, probe.text))


def _embedded(embedder: Embedder, text: str) -> QueryVector | None:
    made = embedder.query(text)
    return made if KINDS["dense"].askable(made) else None
