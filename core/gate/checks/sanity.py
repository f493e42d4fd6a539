"""Are all vectors valid: finite numbers with a direction?"""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.vectors import is_mute

#: The text for a collection whose points have no vectors by design.
MUTE = "no point has a vector to search by"


def not_asked(gate: GateContext) -> str:
    if not is_mute(gate):
        return ""
    there = ""
    if gate.live is not None:
        there = ", as on live"
    return (
        f"no point of {gate.green} has a vector to search by{there}: what searches find was not "
        "checked"
    )


def judge_vector_sanity(gate: GateContext, bound: float | None) -> Finding:
    """Checks every vector of every name for NaN, infinity and zero. Sparse vectors without numbers,
    as of a text without a known word, are counted and are not a fault; neither is a fault that live
    has in the same way."""
    memory = gate.part("vectors")
    broken = int(memory.get("not finite", 0)) + int(memory.get("zero", 0))
    seen = int(memory.get("seen", 0))
    facts = {"by_vector": _facts_by_name(memory)}
    if broken:
        detail = f"vectors that cannot be searched: {', '.join(memory['examples'])}"
        kinds = {kind: int(memory[kind]) for kind in ("not finite", "zero") if memory.get(kind)}
        found = (
            f"{broken:,} of {seen:,} points have a vector that cannot be searched: "
            f"{', '.join(memory['examples'])}."
        )
        return Finding(
            "block", float(broken), seen, detail, 0.0, found=found, facts={**facts, "faults": kinds}
        )
    if is_mute(gate):
        return Finding("pass", 0.0, seen, MUTE, 0.0, found=MUTE, facts=facts)
    if not seen or memory.get("having", True) == {}:
        return cannot_tell("the collection holds no vector to look at")
    as_before = int(memory.get("as on live", 0))
    detail = f"all {seen:,} finite and not zero"
    if as_before:
        detail = (
            f"{as_before:,} of {seen:,} are not finite or zero, just as on live; all others are "
            "finite and not zero"
        )
    detail += "".join(
        f"; {number:,} of {name} are empty" for name, number in memory.get("empty", {}).items()
    )
    detail += "".join(
        f"; {number:,} rows of {name or 'it'}" for name, number in memory.get("rows", {}).items()
    )
    found = f"All {seen:,} points have vectors that can be searched."
    if as_before:
        found = (
            f"{as_before:,} of {seen:,} points have a vector that cannot be searched, just as on "
            "live."
        )
    return Finding("pass", 0.0, seen, detail, 0.0, found=found, facts=facts)


def _facts_by_name(memory: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Returns for each vector how many points have it, how many of these are empty or cannot be
    searched, and how many rows its multivectors have."""
    counted = ("having", "empty", "broken", "rows")
    return {
        name: {what: int(memory[what][name]) for what in counted if name in memory.get(what, {})}
        for name in sorted(memory.get("having", {}))
    }
