"""Do the stored points match the source, and do their vectors match their texts?"""

from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.round_trip import FOREIGN
from qdrant_rollouts.core.statistics import intervals

#: As many records as a healthy rebuild may add; no source changes more while a collection is filled
#: from it.
_EXCUSED = 0.1


def judge_round_trip(gate: GateContext, bound: float | None) -> Finding:
    """No failure in a random sample: with 300, at most one record in a hundred is wrong
    (validation-gate, section 4). If the source has changed since it was read, that excuses
    differences but proves nothing. ``bound`` is the share of records that it excuses, and one
    record is always excused. Beyond it, the collection comes from an older source. Vectors that
    came with the records, if a model is declared for them, are compared with the stored text; no
    change of the source excuses a difference."""
    excused = _EXCUSED if bound is None else bound
    memory = gate.part("round_trip")
    faults = memory.get("faults", {})
    checked = int(memory.get("checked", 0))
    wrong = sum(faults.values())
    if not checked:
        return cannot_tell("no record of the source could be compared")
    if not wrong:
        detail = "records found as the source has them, embedded again to the same vectors"
        found = f"All {checked:,} records that were looked up are stored as the source has them."
        return Finding("pass", 0.0, checked, detail, 0.0, found=found)
    said = ", ".join(f"{number} {fault}" for fault, number in faults.items())
    detail = f"{said}; such as {', '.join(memory['examples'])}"
    found = (
        f"{wrong:,} of {checked:,} records that were looked up are not stored as the source has "
        f"them: {detail}."
    )
    facts = {"faults": dict(faults), "examples": list(memory["examples"])}
    if not memory.get("changed") or FOREIGN in faults:
        return Finding("block", float(wrong), checked, detail, 0.0, found=found, facts=facts)
    if wrong > 1 and intervals.share_interval(wrong, checked).low > excused:
        detail = (
            f"made of an older source, more than {excused:.0%} of which has changed since: {detail}"
        )
        return Finding("block", float(wrong), checked, detail, 0.0, found=found, facts=facts)
    found = f"The source was changed while it was read. {found}"
    detail = f"the source has changed since it was read: {detail}"
    return Finding("inconclusive", float(wrong), checked, detail, 0.0, found=found, facts=facts)
