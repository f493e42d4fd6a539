"""One row for a check of each vector of a collection: the worst one, with the figures of all the
others.

Rule: a name that no point can be searched by is not a fault. A name that could have been searched
and was not has no evidence. Rows of a release that supported one vector belong to the searched
vector.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.probes import vector_of_row

Rows = list[dict[str, Any]]
#: Stands in place of a name for searches that use several vectors at once.
DECLARED = "all of the declared search"
_RANK = {"pass": 0, "inconclusive": 1, "block": 2}


def rows_by_vector(
    gate: GateContext, wanted: Callable[[Mapping[str, Any]], bool]
) -> dict[str, Rows]:
    """Returns the ``wanted`` rows by name, the searched one first. Searches that use several
    vectors at once belong to no single name."""
    found: dict[str, Rows] = {name: [] for name in gate.part("asked").get("names", [gate.vector])}
    for row in gate.part("asked").get("rows", []):
        name = vector_of_row(gate, row)
        if name is not None and wanted(row):
            found.setdefault(name, []).append(row)
    return found


def searched_rows(gate: GateContext) -> Rows:
    """Returns the rows of queries that are made as applications make them."""
    rows = [row for row in gate.part("asked").get("rows", []) if row.get("text")]
    apart = [row for row in rows if vector_of_row(gate, row) is None]
    return apart or rows


def pick_worst(found: Mapping[str, Finding], badness: Callable[[Finding], float]) -> Finding:
    """Returns the row for all names: that of the worst one. ``badness`` compares two rows with the
    same verdict; higher is worse."""
    if len(found) == 1:
        return next(iter(found.values()))
    name = max(found, key=lambda name: (_RANK[found[name].verdict], badness(found[name])))
    one = found[name]
    rest = ", ".join(
        f"{_label_name(other)} {_format_figure(found[other])}" for other in found if other != name
    )
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
    """Applies ``judge`` to each name's rows and returns the worst; ``nothing`` is the text if there
    is no row at all."""
    if not any(rows.values()):
        return cannot_tell(nothing)
    return pick_worst(
        {name: judge(name, some) if some else cannot_tell(nothing) for name, some in rows.items()},
        badness,
    )


def measure_shortfall(finding: Finding) -> float:
    """For a check with a lower bound: how far below the bound."""
    if finding.value is None:
        return float("inf")
    return (finding.bound or 0.0) - finding.value


def measure_reach(finding: Finding) -> float:
    """For a check with an upper bound: how high."""
    if finding.value is None:
        return float("inf")
    return finding.value


def _label_name(name: str) -> str:
    return name or "unnamed"


def _format_figure(finding: Finding) -> str:
    if finding.value is None:
        return "unknown"
    return f"{finding.value:.3f}"


def _facts_of_finding(finding: Finding) -> dict[str, Any]:
    return {
        "verdict": finding.verdict,
        "value": finding.value,
        "bound": finding.bound,
        "n": finding.n,
        "detail": finding.detail,
        **finding.facts,
    }
