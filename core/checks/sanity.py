"""Are the vectors numbers that point somewhere, and is each the vector of its own text?"""

from core.checks.finding import Finding, cannot_tell, exact
from core.evidence.context import GateContext

#: Share of sampled points that may share their vector with a point of another text.
_TWINS = 0.005


def vector_sanity(gate: GateContext, bound: float | None) -> Finding:
    """Every vector of every name was looked at for NaN, infinity and zero; equal ones are searched
    for a sample. Sparse vectors without a number, as of a text without a known word, are counted
    and are no fault."""
    memory, rows = gate.part("vectors"), gate.part("asked").get("rows", [])
    broken = int(memory.get("not finite", 0)) + int(memory.get("zero", 0))
    seen = int(memory.get("seen", 0))
    if broken:
        detail = f"vectors that cannot be searched: {', '.join(memory['examples'])}"
        kinds = {kind: int(memory[kind]) for kind in ("not finite", "zero") if memory.get(kind)}
        found = f"{broken:,} of {seen:,} points have a vector that cannot be searched: {', '.join(memory['examples'])}."
        return Finding("block", float(broken), seen, detail, 0.0, found=found, facts={"faults": kinds})
    if not seen or memory.get("having", True) == {}:
        return cannot_tell("the collection holds no vector to look at")
    sampled = [row for row in rows if "self" in row]
    twins = sum(bool(row.get("twin")) for row in sampled)
    detail = f"all {seen:,} finite and not zero; {twins} of {len(sampled)} share a vector with another text"
    detail += "".join(f"; {number:,} of {name} are empty" for name, number in memory.get("empty", {}).items())
    detail += "".join(f"; {number:,} rows of {name or 'it'}" for name, number in memory.get("rows", {}).items())
    found = f"{twins:,} of {len(sampled):,} points that were looked at share their vector with another text."
    verdict = exact(twins <= _TWINS * len(sampled))
    return Finding(verdict, float(broken), seen, detail, 0.0, found=found, facts={"twins": twins})
