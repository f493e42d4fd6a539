"""The floor: does search answer at all, and well enough to be shown? It does not prove quality."""

from typing import Any

from core.checks.by_vector import rows_by_vector, searched_rows
from core.checks.finding import Finding, cannot_tell, exact
from core.evidence.context import GateContext
from core.evidence.vectors import askable
from core.index_file import ValidationSpec
from core.quoting import quoted

NO_QUERIES = "no validation queries are configured: whether search answers well was not checked"
#: A score of 0.7 is 0.699999988 as float32 (gRPC) and 0.7 as JSON.
TOLERANCE = 1e-6


def results_wanted(gate: GateContext) -> float:
    """The bound of ``min_results``, which has a setting of its own, older than ``validation.checks``."""
    return float(gate.spec.validation.min_results)


def score_wanted(gate: GateContext) -> float | None:
    """That of ``min_top_score``; None where it is to be calibrated and could not be."""
    said = gate.spec.validation.min_top_score
    return gate.part("calibrated").get("floor") if said == "calibrated" else float(said)


def without_queries(gate: GateContext) -> str:
    return "" if gate.spec.validation.queries or gate.judged else NO_QUERIES


def min_results(gate: GateContext, bound: float | None) -> Finding:
    """No query can find more points than there are: where ``validation.min_results`` is left at its
    default, an index of fewer must give them all. Any other number is meant as it stands."""
    rows = _queries(gate, searched_rows(gate))
    if not rows:
        return cannot_tell("no validation query was answered")
    bound, why = _no_more_than_there_are(gate, bound)
    worst = min(rows, key=lambda row: int(row["n"]))
    detail = f"at least{why}; worst: {quoted(worst['name'])}"
    return Finding(exact(bound is None or worst["n"] >= bound), float(worst["n"]), len(rows), detail, bound)


def _no_more_than_there_are(gate: GateContext, bound: float | None) -> tuple[float | None, str]:
    """An empty index has answered nothing, so one result is wanted all the same."""
    there, usual = askable(gate), ValidationSpec.model_fields["min_results"].default
    said = gate.spec.validation.check("min_results")
    chosen = gate.spec.validation.min_results != usual or (said is not None and said.bound is not None)
    if bound is None or chosen or there is None or there >= bound:
        return bound, ""
    return float(max(1, there)), f", there are {there:,} points"


def min_top_score(gate: GateContext, bound: float | None) -> Finding:
    if bound is None:
        return cannot_tell("min_top_score is to be calibrated, and no floor could be")
    return _top_score(gate, bound, "")


def score_floor(gate: GateContext, bound: float | None) -> Finding:
    """How good the best answer to each query is, beside random pairs: the detail says which score
    999 of 1,000 of those stay below. ``min_top_score: calibrated`` holds queries to it."""
    found = gate.part("calibrated")
    if "floor" not in found:
        return cannot_tell("no floor could be calibrated: it needs cosine scores and two points or more")
    said = f"; of {found['n']:,} random pairs of {found['of']}, half are below {found['q50']:.3f}"
    said += f", 99 % below {found['q99']:.3f}, 99.9 % below {found['floor']:.3f}"
    return _top_score(gate, bound, said)


def _top_score(gate: GateContext, bound: float | None, said: str) -> Finding:
    rows = _queries(gate, rows_by_vector(gate, lambda row: bool(row.get("text"))).get(gate.scored, []))
    if not gate.rises(gate.scored):
        distance = gate.params_of(gate.scored).get("distance")
        why = f"scores of {distance} fall as results get better, a lowest score means nothing"
        return cannot_tell(f"{why}: set validation.checks.min_top_score: false")
    if not rows:
        return cannot_tell("no validation query was answered")
    worst = min(rows, key=_best)
    value = _best(worst) if worst["n"] else None
    verdict = exact(bound is None or _best(worst) >= bound - TOLERANCE)
    return Finding(verdict, value, len(rows), f"at least; worst: {quoted(worst['name'])}{said}")


def _queries(gate: GateContext, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = set(gate.spec.validation.queries)
    return [row for row in rows if row.get("text") and "n" in row and row["name"] in wanted]


def _best(row: dict[str, Any]) -> float:
    return float(row["top"]) if row["n"] else float("-inf")
