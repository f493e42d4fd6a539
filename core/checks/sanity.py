"""Are the vectors numbers that point somewhere?"""

from collections.abc import Mapping
from typing import Any

from core.checks.finding import Finding, cannot_tell
from core.evidence.context import GateContext


def vector_sanity(gate: GateContext, bound: float | None) -> Finding:
    """Every vector of every name was looked at for NaN, infinity and zero. Sparse vectors without a
    number, as of a text without a known word, are counted and are no fault."""
    memory = gate.part("vectors")
    broken = int(memory.get("not finite", 0)) + int(memory.get("zero", 0))
    seen, facts = int(memory.get("seen", 0)), {"by_vector": _facts(memory)}
    if broken:
        detail = f"vectors that cannot be searched: {', '.join(memory['examples'])}"
        kinds = {kind: int(memory[kind]) for kind in ("not finite", "zero") if memory.get(kind)}
        found = f"{broken:,} of {seen:,} points have a vector that cannot be searched: {', '.join(memory['examples'])}."
        return Finding("block", float(broken), seen, detail, 0.0, found=found, facts={**facts, "faults": kinds})
    if not seen or memory.get("having", True) == {}:
        return cannot_tell("the collection holds no vector to look at")
    detail = f"all {seen:,} finite and not zero"
    detail += "".join(f"; {number:,} of {name} are empty" for name, number in memory.get("empty", {}).items())
    detail += "".join(f"; {number:,} rows of {name or 'it'}" for name, number in memory.get("rows", {}).items())
    found = f"All {seen:,} points have vectors that can be searched."
    return Finding("pass", 0.0, seen, detail, 0.0, found=found, facts=facts)


def _facts(memory: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """By name: points that have it, those that are empty or cannot be searched, and rows of multivectors."""
    counted = ("having", "empty", "broken", "rows")
    return {
        name: {what: int(memory[what][name]) for what in counted if name in memory.get(what, {})}
        for name in sorted(memory.get("having", {}))
    }
