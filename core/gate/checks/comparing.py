"""How the new collection's answers differ from the live one's. A difference may be intended, so
these checks are only shown and stop nothing, unless the index file sets a bound."""

import math
from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.gate.checks.by_vector import (
    judge_each,
    measure_reach,
    measure_shortfall,
    rows_by_vector,
    searched_rows,
)
from qdrant_rollouts.core.gate.checks.finding import Finding, Verdict, cannot_tell, judge_interval
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.statistics import intervals
from qdrant_rollouts.core.statistics.shifts import ks_distance


def judge_overlap(gate: GateContext, bound: float | None) -> Finding:
    """Rank-biased overlap of the first ten results, mean over the queries, for each vector that
    both sides have."""
    return judge_each(
        gate,
        _rows_beside_live(gate),
        lambda _, some: _find_overlap(gate, some, bound),
        measure_shortfall,
        _why_not_compared(gate),
    )


def judge_fusion_overlap(gate: GateContext, bound: float | None) -> Finding:
    """The same for queries that use the declared search, as applications do."""
    rows = [row for row in searched_rows(gate) if "live" in row]
    if not rows:
        return cannot_tell(
            "no query could be made on both with the declared search: give validation.queries"
        )
    found = _find_overlap(gate, rows, bound)
    common = sum(row["live"]["overlap"] for row in rows) / len(rows)
    said = (
        f"the declared search ({gate.text_search.words}) gives {common:.0%} of the same top ten "
        "results as live"
    )
    return replace(found, found=said, facts={"common": common, "rbo": found.value})


def _find_overlap(gate: GateContext, rows: list[dict[str, Any]], bound: float | None) -> Finding:
    found = intervals.mean_interval([row["live"]["rbo"] for row in rows])
    common = sum(row["live"]["overlap"] for row in rows) / len(rows)
    said = f"Of ten answers, {10 * common:.1f} are the same as on live; {_describe_models(gate)}."
    detail = f"RBO with p = 0.9; {common:.3f} of the top tens in common; {_describe_models(gate)}"
    return judge_interval(found, bound, len(rows), detail, said=said)


def judge_score_shift(gate: GateContext, bound: float | None) -> Finding:
    """The larger of the Kolmogorov-Smirnov distances of the best and of the tenth scores, for each
    vector; a distance, not a p-value."""
    rows = {
        name: [row for row in some if row["n"] and row["live"]["n"]]
        for name, some in _rows_beside_live(gate).items()
    }
    return judge_each(
        gate,
        rows,
        lambda _, some: _find_score_shift(gate, some, bound),
        measure_reach,
        _why_not_compared(gate),
    )


def _find_score_shift(
    gate: GateContext, rows: list[dict[str, Any]], bound: float | None
) -> Finding:
    found = {
        at: ks_distance(_scores_at(rows, at), [row["live"][at] for row in rows])
        for at in ("top", "tenth")
    }
    if any(map(math.isnan, found.values())):
        return cannot_tell("some scores are no numbers", len(rows))
    worst = max(found.values())
    detail = (
        f"at most; best {found['top']:.3f}, tenth {found['tenth']:.3f}; {_describe_models(gate)}"
    )
    said = (
        f"For up to {worst:.0%} of the queries the answers score otherwise than on live; "
        f"{_describe_models(gate)}."
    )
    verdict: Verdict = "block"
    if bound is None or worst <= bound:
        verdict = "pass"
    return Finding(verdict, worst, len(rows), detail, found=said, facts=found)


def judge_latency_p50(gate: GateContext, bound: float | None) -> Finding:
    return _judge_latency(gate, bound, 50)


def judge_latency_p95(gate: GateContext, bound: float | None) -> Finding:
    return _judge_latency(gate, bound, 95)


def _judge_latency(gate: GateContext, bound: float | None, percent: float) -> Finding:
    timed = gate.part("timed")
    green = timed.get("green") or []
    live = timed.get("live") or []
    if not green:
        return cannot_tell(_why_not_compared(gate))
    found = intervals.ratio_of_percentiles(green, live, percent, gate.spec.validation.seed)
    which = "One search of twenty"
    if percent == 50:
        which = "The middle search"
    said = (
        f"{which} takes {found.value:.2f} times as long as on "
        f"live{'' if percent == 50 else ', or longer'}."
    )
    return judge_interval(
        found, bound, len(green), "ratio to live, asked in alternation", at_least=False, said=said
    )


def _rows_beside_live(gate: GateContext) -> dict[str, list[dict[str, Any]]]:
    """Returns rows without names that live lacks or has in another form."""
    rows = rows_by_vector(gate, lambda row: "live" in row)
    return {name: some for name, some in rows.items() if some}


def _scores_at(rows: list[dict[str, Any]], at: str) -> list[float]:
    return [row[at] for row in rows]


def _why_not_compared(gate: GateContext) -> str:
    if gate.live is None:
        return "there is no live collection to compare with"
    if gate.live.same_model:
        return f"no search was possible on both {gate.green} and {gate.live.collection}"
    return (
        f"{gate.live.collection} could not be asked the same: it has another model; give "
        "validation queries"
    )


def _describe_models(gate: GateContext) -> str:
    if gate.live and gate.live.same_model:
        return "same model"
    return "another model, so other answers are no fault"
