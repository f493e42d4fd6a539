"""The gate: what a new collection is checked for before the alias may move to it.

Rule: only ``pass`` opens. A planned check without its evidence is ``inconclusive``, never a pass; one row that blocks
blocks all. Whoever adds a check adds one file here, one line in ``CHECKS`` and tests for pass, block and cannot-tell.
"""

from collections.abc import Callable

from core.checks import counts, floor, schemas
from core.checks.finding import Finding, GateContext

CHECKS: dict[str, Callable[[GateContext], Finding]] = {
    "count": counts.count,
    "vector_schema": schemas.vector_schema,
    "payload_schema": schemas.payload_schema,
    "min_results": floor.min_results,
    "min_top_score": floor.min_top_score,
}

#: These need validation queries; without any they are not planned and the report says so in its first line.
ON_QUERIES = frozenset({"min_results", "min_top_score"})
