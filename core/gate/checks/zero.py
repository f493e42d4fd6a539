"""Are there queries without results?"""

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.gate.checks.by_vector import (
    DECLARED,
    judge_each,
    measure_reach,
    rows_by_vector,
)
from qdrant_rollouts.core.gate.checks.finding import Finding
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.probes import vector_of_row
from qdrant_rollouts.core.statistics.shifts import mcnemar_greater


def judge_zero_result(gate: GateContext, bound: float | None) -> Finding:
    """Queries that find nothing on green and something on live, minus the reverse, as a share, for
    each vector; exact McNemar test. Without a live collection each query without results counts. A
    stored vector that finds only its own point, as in an index of one record, has found something.
    """
    searched = [
        row
        for row in gate.part("asked").get("rows", [])
        if "n" in row and vector_of_row(gate, row) is None
    ]
    # With several vectors one may find nothing, because no word of a question needs to be in any
    # text.
    rows = rows_by_vector(gate, lambda row: "n" in row and not (searched and row.get("text")))
    if searched:
        rows[DECLARED] = searched
    return judge_each(
        gate,
        rows,
        lambda _, some: _judge_rows(some, bound),
        measure_reach,
        "no search was possible",
    )


def _judge_rows(rows: Sequence[Mapping[str, Any]], bound: float | None) -> Finding:
    fresh = [
        row["name"]
        for row in rows
        if not _count_results(row) and ("live" not in row or _count_results(row["live"]))
    ]
    cured = sum(
        bool(_count_results(row)) and "live" in row and not _count_results(row["live"])
        for row in rows
    )
    value = (len(fresh) - cured) / len(rows)
    detail = (
        f"at most; empty here only: {', '.join(fresh[:5]) or 'none'}; empty on live only: {cured}"
    )
    found = (
        f"{len(fresh):,} of {len(rows):,} queries find nothing here and something on live; "
        f"{cured:,} the reverse."
    )
    facts = {"empty": fresh, "cured": cured}
    if bound is None or value <= bound:
        return Finding("pass", value, len(rows), detail, found=found, facts=facts)
    sure = mcnemar_greater(len(fresh), cured) <= 0.05
    return Finding(
        "block" if sure else "inconclusive", value, len(rows), detail, found=found, facts=facts
    )


def _count_results(row: Mapping[str, Any]) -> int:
    """Rows of another release do not say whether the point itself was found."""
    return int(row.get("found", row["n"]))
