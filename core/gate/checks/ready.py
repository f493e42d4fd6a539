"""Has the server finished the index?"""

from qdrant_rollouts.core.collections.readiness import READY_LOOKS
from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell, exact_verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.readiness import PATIENCE


def judge_ready(gate: GateContext, bound: float | None) -> Finding:
    """An unfinished index that still makes progress has no verdict; one that makes no progress
    has."""
    memory = gate.part("ready")
    looks = int(memory.get("looks", 0))
    wanted = READY_LOOKS
    if gate.store.server().embedded:
        wanted = 1
    if memory.get("broken") or memory.get("still", 0) >= memory.get("patience", PATIENCE):
        detail = f"nothing gets on: {memory['reason']}"
        found = f"The server does not finish the index: {memory['reason']}."
        return Finding("block", float(looks), looks, detail, float(wanted), found=found)
    if looks < wanted:
        return cannot_tell(f"not finished: {memory.get('reason', 'not looked')}", looks)
    detail = f"ready in {looks} looks in a row"
    return Finding(
        exact_verdict(met=True),
        float(looks),
        looks,
        detail,
        float(wanted),
        found="The index is finished.",
    )
