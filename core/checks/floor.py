"""The floor: does search answer at all, and well enough to be shown? It does not prove quality."""

from core.checks.finding import Finding, GateContext, exact
from core.ports import Hit
from core.schema import vector_params

#: A score of 0.7 is 0.699999988 as float32 (gRPC) and 0.7 as JSON.
TOLERANCE = 1e-6
#: Distances where a higher score is better, so that a lowest score means something.
_RISING = frozenset({"Cosine", "Dot"})


def min_results(gate: GateContext) -> Finding:
    bound = gate.spec.validation.min_results
    if not gate.answers:
        return Finding("min_results", "inconclusive", None, bound, 0, "no validation query was answered")
    worst, hits = min(gate.answers.items(), key=lambda answer: len(answer[1]))
    return Finding(
        "min_results", exact(len(hits) >= bound), len(hits), bound, len(gate.answers), f"at least; worst: {worst!r}"
    )


def min_top_score(gate: GateContext) -> Finding:
    bound = gate.spec.validation.min_top_score
    distance = vector_params(gate.store.schema(gate.green), gate.vector)["distance"]
    if distance not in _RISING:
        detail = f"scores of {distance} fall as results get better, a lowest score means nothing"
        return Finding("min_top_score", "inconclusive", None, bound, 0, detail)
    if not gate.answers:
        return Finding("min_top_score", "inconclusive", None, bound, 0, "no validation query was answered")
    worst, hits = min(gate.answers.items(), key=lambda answer: _best(answer[1]))
    best = _best(hits)
    verdict, value = exact(best >= bound - TOLERANCE), best if hits else None
    return Finding("min_top_score", verdict, value, bound, len(gate.answers), f"at least; worst: {worst!r}")


def _best(hits: list[Hit]) -> float:
    return max((hit.score for hit in hits), default=float("-inf"))
