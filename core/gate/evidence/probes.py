"""What the gate searches: the queries that people gave, and stored vectors of the new collection,
for each vector name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.text_search import TextSearch
from qdrant_rollouts.core.config.vector_kinds import KINDS, vectors_by_name
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.titles import list_queries
from qdrant_rollouts.core.ports import Hit, Limits, OneQuery, PointId, QueryVector, ServerText

#: How deep a judged query is searched for ``recall@100``, and how many results checks count.
DEEP = 100
SHALLOW = 10
#: Probes of each kind for a vector other than the main one, which has
#: ``validation.samples.queries``.
FURTHER = 100


@dataclass(frozen=True, slots=True)
class Probe:
    """Either a query's ``text`` or the ``point`` whose vector is searched; ``grades`` if there are
    judgments.

    ``vector`` is the searched name; None is the declared search, if that uses several vectors, or
    another than live's. ``deep`` is the number of results of a second search, 0 if there is none.
    """

    text: str | None = None
    point: PointId | None = None
    grades: Mapping[PointId, float] | None = None
    vector: str | None = ""
    deep: int = 0

    @property
    def name(self) -> str:
        if self.text is None:
            return f"point {self.point}"
        return self.text


@dataclass(frozen=True, slots=True)
class AskedProbe:
    """A probe with its query for each side, and the searched vector name there; None if that side
    does not support it."""

    probe: Probe
    green: QueryVector | None
    live: QueryVector | None
    using: str = ""
    live_using: str = ""


def list_probes(gate: GateContext) -> list[Probe]:
    """Lists texts first, as applications search them, each once; then stored vectors of the main
    name, as many as the index file wants; then a part of both for every other name. The list is the
    same in every turn."""
    return [
        *_search_probes(gate),
        *_text_probes(gate),
        *(probe for name in gate.names for probe in _point_probes(gate, name)),
    ]


def probes_of_vector(gate: GateContext, name: str) -> list[Probe]:
    return [probe for probe in list_probes(gate) if probe.vector == name]


def vector_of_row(gate: GateContext, row: Mapping[str, Any]) -> str | None:
    """Returns the vector name of a row of evidence. Rows of a release that supported one vector do
    not have it."""
    found: str | None = row.get("vector", gate.vector)
    return found


def _search_probes(gate: GateContext) -> list[Probe]:
    """Every text, searched as an application does it."""
    search = gate.text_search
    if not search.parts:
        return []
    judged = {one.query: one.grades for one in gate.judged}
    given = list_queries(gate)
    vector = None
    if not gate.asks_apart:
        vector = search.names[0]
    deepest = {
        text: _search_depth(gate, text in judged, text in given) for text in [*given, *judged]
    }
    return [
        Probe(text, grades=judged.get(text), vector=vector, deep=deep)
        for text, deep in deepest.items()
    ]


def _search_depth(gate: GateContext, judged: bool, declared: bool) -> int:
    """Deeper than people look: ``recall@100``, and ``min_results`` if it asks for more."""
    deep = DEEP if judged else 0
    wanted = _results_needed(gate) if declared else 0
    if max(deep, wanted) > gate.real.limit:
        return max(deep, wanted)
    return 0


def _text_probes(gate: GateContext) -> list[Probe]:
    """If searches use several vectors, returns probes of each vector alone."""
    if not gate.asks_apart:
        return []
    given = list_queries(gate)
    return [
        Probe(text, vector=name)
        for name in gate.text_search.names
        for text in (given if name == gate.scored else given[:FURTHER])
    ]


def _point_probes(gate: GateContext, name: str) -> list[Probe]:
    most = gate.spec.validation.samples.queries
    ids = sampled_ids(gate, name)[: most if name == gate.vector else min(most, FURTHER)]
    return [Probe(point=id, vector=name) for id in ids]


def sampled_ids(gate: GateContext, name: str) -> list[PointId]:
    """Returns points drawn among those that have a vector of this name."""
    memory = gate.part("vectors")
    if name == gate.vector:
        sample = memory.get("sample", [])
    else:
        sample = memory.get("samples", {}).get(name, [])
    return [id for _, id, _ in sample]


def _results_needed(gate: GateContext) -> int:
    """``min_results`` has its own bound, and as a check it may have another."""
    said = gate.spec.validation.check("min_results")
    if said and said.bound is not None:
        return math.ceil(said.bound)
    return gate.spec.validation.min_results


def with_vectors(gate: GateContext, chosen: Sequence[Probe]) -> list[AskedProbe]:
    stored = _fetch_vectors(gate, [probe.point for probe in chosen if probe.point is not None])
    return [
        _ask_point(gate, probe, stored) if probe.text is None else _ask_text(gate, probe)
        for probe in chosen
    ]


def other_hits(hits: Sequence[Hit], probe: Probe) -> list[Hit]:
    """Returns the hits without the point whose own vector was searched."""
    return [hit for hit in hits if hit.id != probe.point]


def _fetch_vectors(gate: GateContext, ids: Sequence[PointId]) -> dict[PointId, dict[str, Any]]:
    points = gate.store.fetch(gate.green, list(dict.fromkeys(ids)), vectors=True) if ids else []
    return {point.id: vectors_by_name(point.vector) for point in points}


def _ask_point(
    gate: GateContext, probe: Probe, stored: Mapping[PointId, Mapping[str, Any]]
) -> AskedProbe:
    """A vector that is empty or not finite finds nothing anywhere and is not searched."""
    assert probe.vector is not None
    assert probe.point is not None
    name = probe.vector
    vector = None
    if name in gate.kinds:
        vector = stored.get(probe.point, {}).get(name)
    if vector is not None and not gate.kinds[name][0].askable(vector):
        vector = None
    return AskedProbe(
        probe, vector, vector if gate.same(name) else None, name, gate.live_name(name)
    )


def _ask_text(gate: GateContext, probe: Probe) -> AskedProbe:
    assert probe.text is not None
    if probe.vector is None:
        return _ask_search(gate, probe, probe.text)
    name = probe.vector
    made = _make_vector(gate.text_makers.get(name), probe.text)
    theirs = made
    if not gate.same(name):
        theirs = _make_vector(gate.live_maker(name), probe.text)
    return AskedProbe(probe, made, theirs, name, gate.live_name(name))


def _ask_search(gate: GateContext, probe: Probe, text: str) -> AskedProbe:
    """Searches each side as its own users do: if green has a vector that live lacks, that is what
    users will get."""
    green, using = _build_query(gate, gate.text_search, gate.text_makers, text, gate.limits)
    search = gate.live.search if gate.live else None
    if search is None or not search.parts:
        return AskedProbe(probe, green, None, using)
    makers = {
        name: gate.text_makers[name] if gate.same(name) else gate.live_maker(name)
        for name in search.names
    }
    live, theirs = _build_query(gate, search, makers, text, gate.live_limits)
    return AskedProbe(probe, green, live, using, theirs)


def _build_query(
    gate: GateContext,
    search: TextSearch,
    makers: Mapping[str, Maker | None],
    text: str,
    limits: Limits,
) -> tuple[QueryVector | None, str]:
    made = {
        name: vector
        for name in search.names
        if (vector := _make_vector(makers.get(name), text)) is not None
    }
    if len(made) < len(search.names):
        return None, ""
    return search.query(made.__getitem__, gate.real.limit, limits)


def _make_vector(maker: Maker | None, text: str) -> OneQuery | None:
    if maker is None:
        return None
    made = maker.query(text)
    if isinstance(made, ServerText) or KINDS["dense"].askable(made):
        return made
    return None
