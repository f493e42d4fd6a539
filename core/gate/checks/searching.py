"""Does the index find the points that exist?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qdrant_rollouts.core.gate.checks.by_vector import judge_each, measure_shortfall, rows_by_vector
from qdrant_rollouts.core.gate.checks.finding import (
    Finding,
    Verdict,
    cannot_tell,
    interval_ends,
    judge_interval,
)
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.filters import most_asked
from qdrant_rollouts.core.gate.evidence.limited import describe_no_exact
from qdrant_rollouts.core.gate.evidence.vectors import count_askable
from qdrant_rollouts.core.statistics import intervals

SELF_RETRIEVAL = 0.99
RECALL = 0.90
#: A loss of at most this compared with live is tolerated, or of this share of what live itself
#: misses, because two builds of one bad index differ: with m=2 and a recall of 0.57, by at most
#: 0.09 in 12 rebuilds, and usually by 0.03.
_MARGIN = 0.01
_OF_THE_MISSED = 0.1


def self_bound(gate: GateContext) -> float:
    """The bound of the searched vector; every other name has its own."""
    return _sure_bound(gate, gate.vector)


def _sure_bound(gate: GateContext, name: str) -> float:
    """If a point need not be its own best answer, it finds itself as reliably as the index finds
    anything."""
    kind, params = gate.kinds.get(name, (None, {}))
    if kind is None or kind.sure(params):
        return SELF_RETRIEVAL
    return RECALL


def judge_self_retrieval(gate: GateContext, bound: float | None) -> Finding:
    """The share of stored vectors that find their own point, for each name; too few block only if
    chance cannot explain it."""
    rows = rows_by_vector(gate, lambda row: "self" in row)

    def judge(name: str, some: list[dict[str, Any]]) -> Finding:
        return _find_self_retrieval(
            gate, name, some, _bound_of_name(gate, "self_retrieval", bound, _sure_bound(gate, name))
        )

    return judge_each(gate, rows, judge, measure_shortfall, "no stored vector could be searched")


def _find_self_retrieval(
    gate: GateContext, name: str, rows: list[dict[str, Any]], bound: float | None
) -> Finding:
    lost = [row["name"] for row in rows if not row["self"]]
    found = intervals.share_interval(len(rows) - len(lost), len(rows))
    detail = "at least; every one found itself"
    if lost:
        detail = f"at least; lost: {', '.join(lost[:5])}"
    said = f"{len(lost):,} of {len(rows):,} stored vectors do not find themselves."
    facts = {"interval": interval_ends(found), "lost": lost}
    verdict = _verdict_of_recall(found, bound)
    seen = Finding(verdict, found.value, len(rows), detail, bound, found=said, facts=facts)
    return _no_stricter_than_live(gate, name, "self", seen)


def judge_ann_recall(gate: GateContext, bound: float | None) -> Finding:
    """For each name, the share of the exact results that the index finds."""
    rows = rows_by_vector(gate, lambda row: "recall" in row)

    def judge(name: str, some: list[dict[str, Any]]) -> Finding:
        found = _mean_recall(gate, name, some)
        low = sum(row["recall"] < 0.8 for row in some)
        said = f"Of the ten best answers the index finds {10 * found.value:.1f}."
        seen = judge_interval(
            found,
            bound,
            len(some),
            f"{_describe_search(gate, name)}; {low} queries below 0.8",
            said=said,
        )
        return _no_stricter_than_live(gate, name, "recall", replace(seen, bound=bound))

    return judge_each(
        gate,
        rows,
        judge,
        measure_shortfall,
        "no search was possible" if gate.limits.exact else describe_no_exact(gate.green),
    )


def judge_filtered_recall(gate: GateContext, bound: float | None) -> Finding:
    found = gate.part("filtered").get("recall") or []
    if not found:
        return cannot_tell("no filter to search with: name payload fields in validation.slices")
    whole = most_asked(gate) >= _count_askable(gate, len(found) + 1)
    mean = intervals.exact_mean(found) if whole else intervals.mean_interval(found)
    said = f"With a filter the index finds {10 * mean.value:.1f} of the ten best answers."
    return judge_interval(
        mean, bound, len(found), "within the five most frequent values of each slice", said=said
    )


def _mean_recall(gate: GateContext, name: str, rows: list[dict[str, Any]]) -> intervals.Interval:
    """If every possible point was searched, the mean is exact and has no interval."""
    recalls = [row["recall"] for row in rows]
    if sum("self" in row for row in rows) >= _count_askable(gate, len(rows) + 1, name):
        return intervals.exact_mean(recalls)
    return intervals.mean_interval(recalls)


def _count_askable(gate: GateContext, unknown: int, name: str | None = None) -> int:
    """Returns how many points can be searched with their own vector."""
    counted = count_askable(gate, name)
    if counted is None:
        return int(gate.part("vectors").get("seen", unknown))
    return counted


def _bound_of_name(gate: GateContext, check: str, bound: float | None, own: float) -> float | None:
    """The index file's bound applies literally, to every name."""
    said = gate.spec.validation.check(check)
    if bound is None or (said is not None and said.bound is not None):
        return bound
    return own


def _no_stricter_than_live(gate: GateContext, name: str, measure: str, seen: Finding) -> Finding:
    """An index that finds as much as the one it replaces is not worse, whatever our own bound is;
    the index file's bound applies literally. What live finds is known after ``attributed`` was
    measured, which a miss triggers: both sides get the same queries, so chance does not look like a
    loss."""
    said = gate.spec.validation.check("self_retrieval" if measure == "self" else "ann_recall@10")
    every = gate.memory.get("attributed", {}).get("rows") or []
    rows = [
        row
        for row in every
        if row.get("vector", gate.vector) == name and row.get(f"live_{measure}") is not None
    ]
    if seen.bound is None or not rows or (said is not None and said.bound is not None):
        return seen
    live = float(np.mean([row[f"live_{measure}"] for row in rows]))
    margin = max(_MARGIN, _OF_THE_MISSED * (1 - live))
    bound = min(seen.bound, live - margin)
    told = f"{seen.detail}; live finds {live:.3f}"
    if seen.verdict == "pass":
        return replace(seen, bound=bound, detail=told)
    pairs = [float(row[measure]) - float(row[f"live_{measure}"]) for row in rows if measure in row]
    return replace(
        seen, bound=bound, detail=told, verdict=_verdict_beside_live(seen, bound, pairs, margin)
    )


def _verdict_beside_live(
    seen: Finding, bound: float, pairs: Sequence[float], margin: float
) -> Verdict:
    """Rows of a release that measured live alone contain only its mean."""
    assert seen.value is not None
    if not pairs:
        if seen.value >= bound:
            return "pass"
        return seen.verdict
    if intervals.mean_interval(pairs).high < -margin:
        return seen.verdict
    return "pass"


def _verdict_of_recall(found: intervals.Interval, bound: float | None) -> Verdict:
    if bound is None or found.value >= bound:
        return "pass"
    if found.high < bound:
        return "block"
    return "inconclusive"


def _describe_search(gate: GateContext, name: str) -> str:
    """A small collection is searched exactly, and then recall says nothing about its index (section
    5). Quantized vectors are compared with fewer than all numbers, however few points there are."""
    kind, params = gate.kinds.get(name, (None, {}))
    embedded = gate.store.server().embedded
    exact = embedded or (kind is not None and not kind.lazily)
    quantized = params.get("quantization_config") or gate.schema.get("quantization_config")
    if exact or not (quantized or gate.store.health(gate.green).indexed_vectors):
        return "exact by size: no index to judge"
    return "of exact search on the same collection"
