"""Do the stored points say what the source says, and are their vectors those of their texts?"""

from core.checks.finding import Finding, cannot_tell
from core.evidence.context import GateContext


def round_trip(gate: GateContext, bound: float | None) -> Finding:
    """No failure in a random sample: with 300, at most one record in a hundred is wrong (validation-gate, section 4).
    A source that was changed since it was read excuses a difference, but proves nothing."""
    memory = gate.part("round_trip")
    faults, checked = memory.get("faults", {}), int(memory.get("checked", 0))
    wrong = sum(faults.values())
    if not checked:
        return cannot_tell("no record of the source could be compared")
    if not wrong:
        detail = "records found as the source has them, embedded again to the same vectors"
        return Finding("pass", 0.0, checked, detail, 0.0)
    said = ", ".join(f"{number} {fault}" for fault, number in faults.items())
    detail = f"{said}; such as {', '.join(memory['examples'])}"
    if memory.get("changed"):
        return Finding(
            "inconclusive", float(wrong), checked, f"the source has changed since it was read: {detail}", 0.0
        )
    return Finding("block", float(wrong), checked, detail, 0.0)
