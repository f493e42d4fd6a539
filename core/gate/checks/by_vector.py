"""One row for a check that looks at each vector of a collection: the worst of them, with all the others' figures.

Rule: a name that no point can be asked by is no fault; one that could be asked and was not has no evidence. Rows of a
release that knew one vector are of the one that is searched.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.probes import vector_of_row

Rows = list[dict[str, Any]]
#: What is asked by several vectors at once has this in the place of a name.
DECLARED = "all of the declared search"
_RANK = {"pass": 0, "inconclusive": 1, "block": 2}


def rows_by_vector(gate: GateContext, wanted: Callable[[Mapping[str, Any]], bool]) -> dict[str, Rows]:
    """The rows that are ``wanted`` of each name that was asked, the searched one first. What was asked as people
    search, by several vectors at once, is of no single name."""
    found: dict[str, Rows] = {name: [] for name in gate.part("asked").get("names", [gate.vector])}
    for row in gate.part("asked").get("rows", []):
        name = vector_of_row(gate, row)
        if name is not None and wanted(row):
            found.setdefault(name, []).append(row)
    return found


def searched_rows(gate: GateContext) -> Rows:
    """Queries as people search them."""
    rows = [row for row in gate.part("asked").get("rows", []) if row.get("text")]
    apart = [row for row in rows if vector_of_row(gate, row) is None]
    return apart or rows


def pick_worst(found: Mapping[str, Finding], badness: Callable[[Finding], float]) -> Finding:
    """The row of all names: that of the worst one. ``badness`` tells two of one verdict apart, higher is worse."""
    if len(found) == 1:
        return next(iter(found.values()))
    name = max(found, key=lambda name: (_RANK[found[name].verdict], badness(found[name])))
    one = found[name]
    rest = ", ".join(f"{_label_name(other)} {_format_figure(found[other])}" for other in found if other != name)
    return replace(
        one,
        detail=f"vector {_label_name(name)}: {one.detail}; others: {rest}",
        found=f"vector {_label_name(name)}: {one.found}" if one.found else "",
        facts={
            **one.facts,
            "vector": name,
            "by_vector": {other: _facts_of_finding(finding) for other, finding in found.items()},
        },
    )


def judge_each(
    gate: GateContext,
    rows: Mapping[str, Rows],
    judge: Callable[[str, Rows], Finding],
    badness: Callable[[Finding], float],
    nothing: str,
) -> Finding:
    """``judge`` of each name's rows, and the worst of it; ``nothing`` is said where there is no row at all."""
    if not any(rows.values()):
        return cannot_tell(nothing)
    return pick_worst(
        {name: judge(name, some) if some else cannot_tell(nothing) for name, some in rows.items()}, badness
    )


def measure_shortfall(finding: Finding) -> float:
    """Of a check with a lower bound: how far below it."""
    if finding.value is None:
        return float("inf")
    return (finding.bound or 0.0) - finding.value


def measure_reach(finding: Finding) -> float:
    """Of a check with an upper bound: how high."""
    return float("inf") if finding.value is None else finding.value


def _label_name(name: str) -> str:
    return name or "unnamed"


def _format_figure(finding: Finding) -> str:
    return "unknown" if finding.value is None else f"{finding.value:.3f}"


def _facts_of_finding(finding: Finding) -> dict[str, Any]:
    return {
        "verdict": finding.verdict,
        "value": finding.value,
        "bound": finding.bound,
        "n": finding.n,
        "detail": finding.detail,
        **finding.facts,
    }
