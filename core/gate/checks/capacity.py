"""Is there enough space for both collections?"""

from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell, exact_verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext


def judge_capacity(gate: GateContext, bound: float | None) -> Finding:
    """Both collections exist and are already counted: the value is the higher share of memory and
    disk. The numbers are those of the node that answered; in a container they may be those of its
    host."""
    found = gate.store.capacity()
    pairs = {"memory": (found.memory_used, found.memory), "disk": (found.disk_used, found.disk)}
    shares = {
        what: used / total for what, (used, total) in pairs.items() if used is not None and total
    }
    if not shares:
        return cannot_tell("the server does not tell its memory or disk")
    detail = ", ".join(
        f"{what} {share:.0%} of {_format_gib(pairs[what][1])}" for what, share in shares.items()
    )
    worst = max(shares.values())
    fuller = max(shares, key=lambda what: shares[what])
    said = f"With both collections in place, {worst:.0%} of the server's {fuller} is taken."
    verdict = exact_verdict(bound is None or worst <= bound)
    return Finding(
        verdict, worst, len(shares), f"at most; {detail}", found=said, facts={"shares": shares}
    )


def _format_gib(size: int | None) -> str:
    return f"{(size or 0) / 2**30:.1f} GiB"
