"""Are the vectors numbers that point somewhere, and is each the vector of its own text?"""

from collections.abc import Mapping
from typing import Any

from core.checks.by_vector import Rows, rows_by_vector
from core.checks.finding import Finding, cannot_tell, exact
from core.evidence.context import GateContext
from core.evidence.probes import FURTHER

#: Share of sampled points that may share their vector with a point of another text.
_TWINS = 0.005


def vector_sanity(gate: GateContext, bound: float | None) -> Finding:
    """Every vector of every name was looked at for NaN, infinity and zero; equal ones are searched
    for a sample of each name. Sparse vectors without a number, as of a text without a known word,
    are counted and are no fault."""
    memory, names = gate.part("vectors"), rows_by_vector(gate, lambda row: "self" in row)
    broken = int(memory.get("not finite", 0)) + int(memory.get("zero", 0))
    seen, facts = int(memory.get("seen", 0)), {"by_vector": _facts(memory, names)}
    if broken:
        detail = f"vectors that cannot be searched: {', '.join(memory['examples'])}"
        kinds = {kind: int(memory[kind]) for kind in ("not finite", "zero") if memory.get(kind)}
        found = f"{broken:,} of {seen:,} points have a vector that cannot be searched: {', '.join(memory['examples'])}."
        return Finding("block", float(broken), seen, detail, 0.0, found=found, facts={**facts, "faults": kinds})
    if not seen or memory.get("having", True) == {}:
        return cannot_tell("the collection holds no vector to look at")
    twins = "; ".join(
        f"{_twins(rows)} of {len(rows)}{f' of {name}' * (len(names) > 1)} share a vector with another text"
        for name, rows in names.items()
    )
    detail = f"all {seen:,} finite and not zero; {twins}"
    detail += "".join(f"; {number:,} of {name} are empty" for name, number in memory.get("empty", {}).items())
    detail += "".join(f"; {number:,} rows of {name or 'it'}" for name, number in memory.get("rows", {}).items())
    met = all(_twins(rows) <= _allowed(len(rows)) for rows in names.values())
    found = f"All {seen:,} points have vectors that can be searched; {twins}."
    return Finding(exact(met), float(broken), seen, detail, 0.0, found=found, facts=facts)


def _allowed(sampled: int) -> float:
    """One in a sample of a hundred is no share yet."""
    return max(_TWINS * sampled, float(sampled >= FURTHER))


def _twins(rows: Rows) -> int:
    return sum(bool(row.get("twin")) for row in rows)


def _facts(memory: Mapping[str, Any], names: Mapping[str, Rows]) -> dict[str, dict[str, int]]:
    """By name: points that have it, those that are empty or cannot be searched, and of the sample those that share
    their vector with another point."""
    every = {*names, *memory.get("having", {})}
    counted = ("having", "empty", "broken", "rows")
    return {
        name: {what: int(memory[what][name]) for what in counted if name in memory.get(what, {})}
        | {
            "sampled": len(names.get(name, [])),
            "identical": sum("twin" in row for row in names.get(name, [])),
            "twins": _twins(names.get(name, [])),
        }
        for name in sorted(every)
    }
