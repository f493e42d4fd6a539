"""Has a tenant, a language, or any other frequent value lost its points?"""

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.checks.finding import Finding, Verdict, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext

#: How many values are read on live; on green, all that exist.
_FREQUENT = 20
_ALL = 10_000


def judge_slices(gate: GateContext, bound: float | None) -> Finding:
    """The largest share of points that a value frequent on live has lost on green."""
    if gate.live is None or not gate.spec.validation.slices:
        return cannot_tell("nothing to compare: name payload fields in validation.slices")
    lost = {
        name: share
        for field in gate.spec.validation.slices
        for name, share in _lost_shares(gate, field).items()
    }
    if not lost:
        return cannot_tell("live has no point with a value in these fields")
    worst = max(lost, key=lambda name: lost[name])
    detail = f"at most; {worst} has lost {lost[worst]:.0%} of its points"
    found = f"{worst} has lost {lost[worst]:.0%} of its points, more than any other value."
    found = found if lost[worst] > 0 else "No frequent value has lost any of its points."
    verdict: Verdict = "block"
    if bound is None or lost[worst] <= bound:
        verdict = "pass"
    return Finding(verdict, lost[worst], len(lost), detail, found=found, facts={"lost": lost})


def _lost_shares(gate: GateContext, field: str) -> dict[str, float]:
    assert gate.live is not None
    ours = gate.store.facet(gate.green, field, _ALL)
    theirs = gate.store.facet(gate.live.collection, field, _FREQUENT)
    if len(ours) == gate.limits.page(_ALL) and not ours.keys() >= theirs.keys():
        raise Refused(
            f"strict mode of {gate.green} lists {len(ours)} values of {field} at most "
            "(max_query_limit)"
        )
    return {f"{field}={value}": 1 - ours.get(value, 0) / number for value, number in theirs.items()}
