"""Searches within the most frequent values of the slice fields."""

from typing import Any

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.evidence.asking import PATIENCE
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.gate.evidence.limited import describe_no_exact
from qdrant_rollouts.core.gate.evidence.probes import SHALLOW, probes_of_vector, with_vectors
from qdrant_rollouts.core.ports import Hit, PointId, SearchParams
from qdrant_rollouts.core.statistics.ranking import found_of_best

#: How many values are searched, and how many probes for each (validation-gate, section 3).
_VALUES = 5
_PROBES = 60
_CHUNK = 10


def collect_filtered(gate: GateContext, over: IsTurnOver) -> float | None:
    """Measures the recall of the index within the most frequent values of each slice field."""
    memory = gate.part("filtered")
    plan: list[Any] = memory.setdefault("plan", _plan_pieces(gate))
    at = int(memory.get("at", 0))
    while at < len(plan):
        gate.breathe()
        memory["recall"] = [*memory.get("recall", []), *_measure_recalls(gate, *plan[at])]
        at = memory["at"] = at + 1
        if over():
            break
    return None if at >= len(plan) else 0.0


def most_asked(gate: GateContext) -> int:
    """Returns how many points at most are searched with their own vector, for each value."""
    return sum(probe.point is not None for probe in probes_of_vector(gate, gate.vector)[:_PROBES])


def _plan_pieces(gate: GateContext) -> list[list[Any]]:
    """Yields field, value, first probe: pieces small enough for a request."""
    return [
        [field, value, first]
        for field in gate.spec.validation.slices
        for value in gate.store.facet(gate.green, field, _VALUES)
        for first in range(0, _PROBES, _CHUNK)
    ]


def _measure_recalls(gate: GateContext, field: str, value: str, first: int) -> list[float]:
    asked = with_vectors(gate, probes_of_vector(gate, gate.vector)[first : first + _CHUNK])
    vectors = [one.green for one in asked if one.green is not None]
    if not vectors:
        return []
    if not gate.limits.exact:
        raise Refused(describe_no_exact(gate.green))
    within = {"must": [{"key": field, "match": {"value": value}}]}

    def search(exact: bool) -> list[list[Hit]]:
        params = None
        if not exact:
            params = gate.real.params or None
        how = SearchParams(
            using=gate.vector, exact=exact, params=params, filter=within, seconds=PATIENCE
        )
        return gate.store.search_many(gate.green, vectors, SHALLOW, how)

    pairs = zip(search(exact=False), search(exact=True), strict=True)
    return [
        found_of_best(_ids_and_scores(ours), _ids_and_scores(best), rising=gate.rising)
        for ours, best in pairs
    ]


def _ids_and_scores(hits: list[Hit]) -> list[tuple[PointId, float]]:
    return [(hit.id, hit.score) for hit in hits]
