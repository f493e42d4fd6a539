"""How long both collections take for the same queries, searched in alternation, so that what slows
one also slows the other."""

import time

from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver, LiveCollection
from qdrant_rollouts.core.gate.evidence.probes import AskedProbe, Probe, list_probes, with_vectors
from qdrant_rollouts.core.ports import QueryVector, SearchParams

_CHUNK = 10
#: Searches of each side before counting begins, because caches and connections are cold.
_WARM_UP = 5


def collect_timings(gate: GateContext, over: IsTurnOver) -> float | None:
    """Milliseconds, the mean of two calls per side, one entry for each probe that both sides
    support."""
    memory = gate.part("timed")
    chosen = _choose_probes(gate)
    live = gate.live
    if live is None:
        return None
    if gate.live_reads is not None:
        chosen = chosen[: max(1, gate.live_reads // 2)]
    _warm_up(gate, live, with_vectors(gate, chosen[:_WARM_UP]))
    while int(memory.get("at", 0)) < len(chosen):
        gate.breathe()
        at = int(memory.get("at", 0))
        pairs = [
            pair
            for one in with_vectors(gate, chosen[at : at + _CHUNK])
            if (pair := _time_pair(gate, live, one))
        ]
        memory["green"] = [*memory.get("green", []), *(green for green, _ in pairs)]
        memory["live"] = [*memory.get("live", []), *(blue for _, blue in pairs)]
        memory["at"] = at + _CHUNK
        if over():
            break
    if int(memory.get("at", 0)) >= len(chosen):
        return None
    return 0.0


def _choose_probes(gate: GateContext) -> list[Probe]:
    """What applications search: the declared search, and the main vector."""
    every = [probe for probe in list_probes(gate) if probe.vector in (None, gate.vector)]
    return every[: gate.spec.validation.samples.queries]


def _warm_up(gate: GateContext, live: LiveCollection, asked: list[AskedProbe]) -> None:
    for one in asked:
        _time_pair(gate, live, one)


def _time_pair(
    gate: GateContext, live: LiveCollection, asked: AskedProbe
) -> tuple[float, float] | None:
    """Live, green, green, live: a drift affects both alike."""
    if asked.green is None or asked.live is None:
        return None
    gate.pace.wait(1)
    first = _time_call(gate, live.collection, asked.live, asked.live_using)
    green = sum(_time_call(gate, gate.green, asked.green, asked.using) for _ in range(2))
    gate.pace.wait(1)
    return green / 2, (first + _time_call(gate, live.collection, asked.live, asked.live_using)) / 2


def _time_call(gate: GateContext, collection: str, vector: QueryVector, using: str) -> float:
    started = time.perf_counter()
    most = gate.limits.page(gate.live_limits.page(gate.real.limit))
    gate.store.search(
        collection, vector, most, SearchParams(using=using, params=gate.real.params or None)
    )
    return (time.perf_counter() - started) * 1000
