"""Are the vectors numbers that point somewhere?"""

from core.checks.finding import Finding, cannot_tell
from core.evidence.context import GateContext


def vector_sanity(gate: GateContext, bound: float | None) -> Finding:
    """Every vector of every name was looked at for NaN, infinity and zero. Sparse vectors without a
    number, as of a text without a known word, are counted and are no fault."""
    memory = gate.part("vectors")
    broken = int(memory.get("not finite", 0)) + int(memory.get("zero", 0))
    seen = int(memory.get("seen", 0))
    if broken:
        detail = f"vectors that cannot be searched: {', '.join(memory['examples'])}"
        return Finding("block", float(broken), seen, detail, 0.0)
    if not seen or memory.get("having", True) == {}:
        return cannot_tell("the collection holds no vector to look at")
    detail = f"all {seen:,} finite and not zero"
    detail += "".join(f"; {number:,} of {name} are empty" for name, number in memory.get("empty", {}).items())
    detail += "".join(f"; {number:,} rows of {name or 'it'}" for name, number in memory.get("rows", {}).items())
    return Finding("pass", 0.0, seen, detail, 0.0)
