"""Three looks, 2.5 s apart, that must find the index finished (qdrant-facts 7.2).

The last looks of ``populate`` count; then one more is enough.
"""

import math

from qdrant_rollouts.core.collections import readiness
from qdrant_rollouts.core.collections.readiness import Readiness
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.ports import State

#: Looks without progress: after this many, an unfinished index will not be finished.
PATIENCE = 24


def collect_readiness(gate: GateContext, over: IsTurnOver) -> float | None:
    memory = gate.part("ready")
    seen = _inspect_green(gate, memory)
    memory["reason"], memory["broken"] = seen.reason, seen.broken
    memory["patience"] = _patience(gate) if seen.failing else PATIENCE
    before = int(memory.get("looks", gate.filled.looks or 0))
    memory["looks"] = before + 1 if seen.ready else 0
    enough = memory["looks"] >= readiness.READY_LOOKS or (
        seen.ready and gate.store.server().embedded
    )
    if enough or seen.broken or memory.get("still", 0) >= memory["patience"]:
        return None
    return gate.ready_look


def _patience(gate: GateContext) -> int:
    """Looks during which the server tries again what failed, because space may be freed."""
    return max(PATIENCE, math.ceil(gate.spec.progress_deadline_seconds / gate.ready_look))


def _inspect_green(gate: GateContext, memory: State) -> Readiness:
    store = gate.store
    if store.server().embedded:
        return Readiness(ready=True)
    health = store.health(gate.green)
    at_work = readiness.is_at_work(health, memory.get("work"))
    memory["still"] = 0 if at_work else int(memory.get("still", 0)) + 1
    memory["work"] = readiness.measure_work(health)
    seen = readiness.watch(store, gate.green, gate.schema, health, memory.get("failures"))
    memory["failures"] = health.failures
    if seen.asleep:
        store.wake(gate.green)
    return seen
