"""The floor: does search find answers at all, and good enough ones? It does not prove quality."""

from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.config.index_file import ValidationSpec
from qdrant_rollouts.core.gate.checks.by_vector import rows_by_vector, searched_rows
from qdrant_rollouts.core.gate.checks.finding import (
    Finding,
    cannot_tell,
    exact_verdict,
    interval_ends,
)
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.titles import list_queries, wants_queries
from qdrant_rollouts.core.gate.evidence.vectors import count_askable
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.statistics import intervals
from qdrant_rollouts.core.statistics.intervals import judge_side
from qdrant_rollouts.core.statistics.shifts import mcnemar_greater

NO_QUERIES = "no validation queries are configured: whether search answers well was not checked"
#: A score of 0.7 is 0.699999988 as float32 (gRPC) and 0.7 as JSON.
TOLERANCE = 1e-6
#: Share of texts whose best answer may be no better than an unrelated one. For records searched by
#: their beginning it was at most 0.32 with models in use, 0.74 with the weakest (hashing into 32
#: numbers), and 0.9 and more where vectors were random or had collapsed
#: (docs/understand/gate-floor.md).
_MOST_UNDER = 0.8
#: If at most this share of records is not found by its beginning, the model distinguishes texts so
#: well that queries without an answer are the data's fault.
_TOLD_APART = 0.2
_SURE = 0.05
#: If all records are about one topic, a query without a common word has an answer if it comes
#: nearer to a record than this part of what the records come to each other.
_STRANGE = 0.5


def results_wanted(gate: GateContext) -> float:
    """The bound of ``min_results``, which has its own, older setting."""
    return float(gate.spec.validation.min_results)


def score_wanted(gate: GateContext) -> float | None:
    """The bound of ``min_top_score``; None if it is calibrated, because then the share of queries
    has the bound."""
    said = gate.spec.validation.min_top_score
    if said == "calibrated":
        return None
    return float(said)


def without_queries(gate: GateContext) -> str:
    if wants_queries(gate) or gate.judged:
        return ""
    return NO_QUERIES


def judge_min_results(gate: GateContext, bound: float | None) -> Finding:
    """No query can find more points than exist: with the default of ``validation.min_results``, a
    smaller index must return all of its points. Any other number is taken literally."""
    rows = _rows_of_queries(gate, searched_rows(gate))
    if not rows:
        return cannot_tell(_why_unanswered(gate))
    bound, why = _limit_by_points(gate, bound)
    worst = min(rows, key=lambda row: int(row["n"]))
    detail = f"at least{why}; worst: {quote_value(worst['name'])}"
    few = [row["name"] for row in rows if bound is not None and row["n"] < bound]
    found = f"{len(few):,} of {len(rows):,} queries found fewer than {bound or 0:,.0f} records."
    if not few:
        found = f"All {len(rows):,} queries found as many records as they should."
    return Finding(
        exact_verdict(not few),
        float(worst["n"]),
        len(rows),
        detail,
        bound,
        found=found,
        facts={"too_few": few},
    )


def _limit_by_points(gate: GateContext, bound: float | None) -> tuple[float | None, str]:
    """An empty index answers nothing, so at least one result is required."""
    there = count_askable(gate)
    usual = ValidationSpec.model_fields["min_results"].default
    said = gate.spec.validation.check("min_results")
    chosen = gate.spec.validation.min_results != usual or (
        said is not None and said.bound is not None
    )
    if bound is None or chosen or there is None or there >= bound:
        return bound, ""
    return float(max(1, there)), f", there are {there:,} points"


def judge_min_top_score(gate: GateContext, bound: float | None) -> Finding:
    """A number applies literally, to every query. If calibrated, the check counts the share of
    queries whose best answer is no better than the best of as many unrelated documents; the worst
    query alone does not decide. The beginnings of records are searched too, because they certainly
    have an answer: if most of those find none either, scores mean nothing. If they do and the
    queries do not, the check compares with live's answers."""
    if bound is not None:
        return _judge_top_score(gate, bound, "")
    rows = _scored_rows(gate)
    found = gate.part("calibrated")
    strange = {*found.get("strange", ())}
    if rows and all(
        row["name"] in strange and _best_score(row) < _STRANGE * float(found["alike"])
        for row in rows
    ):
        return _judge_strangers(rows, float(found["alike"]))
    if "floor" not in found:
        return _not_calibrated(gate)
    if not rows:
        return cannot_tell(_why_unanswered(gate))
    return _judge_under_floor(gate, rows)


def judge_score_floor(gate: GateContext, bound: float | None) -> Finding:
    """How good the best answer to each query is, compared with unrelated documents: the floor is
    the score that the best of them would reach once in a hundred times. ``min_top_score:
    calibrated``, the default, compares the queries with it."""
    found = gate.part("calibrated")
    if "floor" not in found:
        if bound is None:
            return _not_calibrated(gate)
        return _judge_top_score(gate, bound, "")
    said = f"; of {found['n']:,} pairs of {found['of']}, half are below {found['q50']:.3f}"
    said += f", 99 % below {found['q99']:.3f}; the floor is {found['floor']:.3f}"
    return _judge_top_score(gate, bound, said)


_UNCALIBRATED = (
    "no floor could be calibrated: it needs dense vectors, cosine or dot scores, and unlike texts"
)


def _not_calibrated(gate: GateContext) -> Finding:
    """The finding for texts of which no floor can be calibrated; more evidence would not help."""
    pairs = int(gate.part("calibrated").get("pairs", 0))
    detail = (
        f"{_UNCALIBRATED}; {pairs:,} pairs of a text and a document that shares no word with it"
    )
    found = (
        "The quality of answers could not be distinguished from chance: the records are too few or "
        "too much alike."
    )
    return Finding("pass", None, len(_scored_rows(gate)), detail, found=found, only_shown=True)


def _judge_strangers(rows: list[dict[str, Any]], alike: float) -> Finding:
    """Works with any number of queries: records about one topic have nothing in common with any of
    them."""
    detail = (
        f"share whose best score is below half of {alike:.3f}, which 99 of 100 pairs of records "
        "reach, at most"
    )
    found = (
        f"None of the {len(rows):,} queries has anything to do with the records: no word in common "
        "with them, and not "
    )
    found += "half as near to any of them as they are to each other."
    facts = {
        "alike": alike,
        "under": [{"query": row["name"], "score": row.get("top")} for row in rows],
    }
    return Finding("block", 1.0, len(rows), detail, _MOST_UNDER, found=found, facts=facts)


def _judge_under_floor(gate: GateContext, rows: list[dict[str, Any]]) -> Finding:
    found = gate.part("calibrated")
    floor = float(found["floor"])
    own = int(found.get("own", 0))
    own_under = int(found.get("own_under", 0))
    under = [row for row in rows if _best_score(row) < floor - TOLERANCE]
    theirs = intervals.share_interval(len(under), len(rows))
    ours = intervals.share_interval(own_under, own) if own else theirs
    verdict = judge_side(ours, _MOST_UNDER, at_least=False) if ours.value > _MOST_UNDER else "pass"
    if verdict == "pass" and own and ours.value <= _TOLD_APART and theirs.low > _MOST_UNDER:
        if _live_knew_better(gate, under):
            verdict = "block"
        elif gate.live is None:
            verdict = "inconclusive"
    words = f"{len(under):,} of {len(rows):,} queries have no answer better than chance would give"
    words += (
        f"; so have {own_under:,} of {own:,} records that were searched by their own beginning"
        if own
        else ""
    )
    detail = (
        f"share under the floor {floor:.3f}, interval [{theirs.low:.3f}, {theirs.high:.3f}], high "
        "<= bound"
    )
    detail += (
        f"; of records' own beginnings {ours.value:.3f}, interval [{ours.low:.3f}, {ours.high:.3f}]"
        if own
        else ""
    )
    facts = {
        "floor": floor,
        "interval": interval_ends(theirs),
        "under": [
            {"query": row["name"], "score": row.get("top")}
            for row in sorted(under, key=_best_score)
        ],
        "own": {"n": own, "under": own_under, "interval": interval_ends(ours)},
    }
    return Finding(
        verdict, theirs.value, len(rows), detail, _MOST_UNDER, found=f"{words}.", facts=facts
    )


def _live_knew_better(gate: GateContext, under: list[dict[str, Any]]) -> bool:
    """Compares scores of one model; another model has another scale."""
    if gate.live is None or not gate.live.same_model:
        return False
    floor = float(gate.part("calibrated")["floor"])
    fresh = sum(
        bool(row.get("live", {}).get("n")) and row["live"]["top"] >= floor - TOLERANCE
        for row in under
    )
    return mcnemar_greater(fresh, 0) <= _SURE


def _judge_top_score(gate: GateContext, bound: float | None, said: str) -> Finding:
    rows = _scored_rows(gate)
    if not gate.rises(gate.scored):
        distance = gate.params_of(gate.scored).get("distance")
        why = f"scores of {distance} fall as results get better, a lowest score means nothing"
        seen = cannot_tell(f"{why}: set validation.checks.min_top_score: false")
        return replace(
            seen, found=f"A lowest score means nothing by {distance}: there, less is better."
        )
    if not rows:
        return cannot_tell(_why_unanswered(gate))
    worst = min(rows, key=_best_score)
    value = _best_score(worst) if worst["n"] else None
    under = [row for row in rows if bound is not None and _best_score(row) < bound - TOLERANCE]
    words = ""
    if under and bound:
        words = f"{len(under):,} of {len(rows):,} queries have no answer that scores {bound:g}"
    words = words or f"The best answers to all {len(rows):,} queries score high enough"
    return Finding(
        exact_verdict(not under),
        value,
        len(rows),
        f"at least; worst: {quote_value(worst['name'])}{said}",
        found=f"{words}; the worst is {quote_value(worst['name'])}.",
        facts={
            "under": [
                {"query": row["name"], "score": row.get("top")}
                for row in sorted(under, key=_best_score)
            ]
        },
    )


def _why_unanswered(gate: GateContext) -> str:
    if gate.spec.validation.titles and not list_queries(gate):
        field = gate.spec.validation.titles
        named = field
        if field == "*":
            named = "title, name or heading"
        return f"no record of the sample has text in a field {named} (validation.queries: titles)"
    return "no validation query was answered"


def _rows_of_queries(gate: GateContext, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = set(list_queries(gate))
    return [row for row in rows if row.get("text") and "n" in row and row["name"] in wanted]


def _scored_rows(gate: GateContext) -> list[dict[str, Any]]:
    """Returns the queries searched by the one vector whose scores are meaningful."""
    return _rows_of_queries(
        gate, rows_by_vector(gate, lambda row: bool(row.get("text"))).get(gate.scored, [])
    )


def _best_score(row: dict[str, Any]) -> float:
    if row["n"]:
        return float(row["top"])
    return float("-inf")
