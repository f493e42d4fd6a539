"""Does the collection contain everything that the source gave, and nothing else?"""

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell, exact_verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext

#: If only live says how many points there should be, a person decides about a larger loss than
#: this.
_FEWER = 0.1


def judge_count(gate: GateContext, bound: float | None) -> Finding:
    """Compares with what ``populate`` wrote; a collection without a deployment is compared with the
    records of its source."""
    expected = gate.filled.expected
    if expected is None:
        expected = gate.memory.get("origin", {}).get("rows")
    if expected is None:
        return cannot_tell("nothing says how many points there should be")
    found = gate.store.count(gate.green)
    if gate.filled.expected is None and gate.spec.on_bad_record == "skip":
        return _judge_with_bad_records(gate, found, int(expected))
    unread = _count_unread(gate, found)
    if unread:
        detail = f"{unread:,} records of the source were never read"
        return Finding("block", float(found), found, detail, float(expected), found=f"{detail}.")
    detail = (
        f"exact count of {gate.green} against {expected:,} records of the source, must be equal"
    )
    said = f"The new collection has {found:,} points, where {expected:,} records make one each."
    return Finding(
        exact_verdict(found == expected), float(found), found, detail, float(expected), found=said
    )


def not_counted(gate: GateContext) -> str:
    if gate.counted:
        return ""
    beside = ""
    if gate.live:
        beside = f" beyond a comparison with {gate.live.collection}"
    return (
        f"{gate.green} was made elsewhere, from no source that is known here: its number of points "
        "and their content "
        f"were not checked{beside}"
    )


def _count_unread(gate: GateContext, found: int) -> int:
    """Records in the source beyond those written and the bad ones: a part of the source was not
    read. Reported only if ``round_trip`` has read a source of files again and found it unchanged.
    """
    origin = gate.memory.get("origin", {})
    again = gate.memory.get("round_trip", {})
    unchanged = again.get("complete") and not again.get("changed")
    if (
        gate.source is None
        or gate.source.collection is not None
        or not origin.get("complete")
        or not unchanged
    ):
        return 0
    return max(0, int(origin.get("rows", 0)) - found - (gate.filled.bad or 0))


def _judge_with_bad_records(gate: GateContext, found: int, rows: int) -> Finding:
    missing = rows - found
    if not 0 <= missing <= gate.spec.max_bad_records:
        detail = f"{rows:,} records in the source, {found:,} points"
        said = (
            f"The new collection has {found:,} points, the source {rows:,} records: more differ "
            "than may be bad."
        )
        return Finding("block", float(found), found, detail, found=said)
    detail = (
        f"{missing:,} of {rows:,} records have no point, as many as may be bad (max_bad_records)"
    )
    return Finding("pass", float(found), found, detail, found=f"{detail}.")


def judge_count_vs_live(gate: GateContext, bound: float | None) -> Finding:
    """The share of live's points that is missing. Without a bound, the check stops a collection
    with fewer than half of live's points."""
    if gate.live is None:
        return cannot_tell("there is no live collection to compare with")
    live = gate.live.collection
    ours = gate.store.count(gate.green)
    theirs = estimate_points(gate.store, live) if bound is None else gate.store.count(live)
    missing = 0.0
    if theirs:
        missing = (theirs - ours) / theirs
    detail = f"{ours:,} points, live has {theirs:,}; share missing, at most the bound"
    said = f"The new collection has {ours:,} points, live has {theirs:,}."
    if bound is not None:
        return Finding(exact_verdict(missing <= bound), missing, theirs, detail, found=said)
    if 2 * ours < theirs:
        detail = "less than half of live"
        return Finding("inconclusive", missing, theirs, detail, found=said, decides=theirs > 0)
    if not gate.counted and missing > _FEWER:
        why = (
            f"more than {_FEWER:.0%} fewer than live, and nothing else says how many there should "
            "be"
        )
        return Finding("inconclusive", missing, theirs, why, found=said, decides=True)
    return Finding("pass", missing, theirs, detail, found=said)
