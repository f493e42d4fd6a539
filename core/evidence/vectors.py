"""Every vector of the new collection, looked at once: a single bad one among millions is no matter of samples."""

from collections.abc import Mapping
from typing import Any

from core.evidence.context import GateContext, Over
from core.evidence.probes import FURTHER
from core.evidence.sampling import offer
from core.kinds import Kind, by_name
from core.plan import State
from core.ports import Point

_PAGE = 512
_EXAMPLES = 5


def look(gate: GateContext, over: Over) -> float | None:
    memory = gate.part("vectors")
    memory.setdefault("sample", [])
    while not memory.get("read"):
        gate.store.pace(gate.green)
        points, after = gate.store.scroll(gate.green, memory.get("after"), _PAGE, payload=False)
        for point in points:
            _note(gate, memory, point)
        memory["after"], memory["read"] = after, after is None
        memory["seen"] = int(memory.get("seen", 0)) + len(points)
        if over():
            break
    return None if memory["read"] else 0.0


def _note(gate: GateContext, memory: State, point: Point) -> None:
    vectors = {name: one for name, one in by_name(point.vector).items() if name in gate.kinds}
    _offer(gate, memory, point, vectors)
    for name, one in vectors.items():
        kind = gate.kinds[name][0]
        _count(memory, "having", name)
        if kind.empty(one):
            _count(memory, "empty", name)
        if kind.name == "multi":
            _count(memory, "rows", name, kind.count(one))
    faults = {name: fault for name, one in vectors.items() if (fault := _fault(one, *gate.kinds[name]))}
    for name in faults:
        _count(memory, "broken", name)
    if faults:
        name, fault = next(iter(faults.items()))
        said = f"{fault}, {name or 'unnamed'}" if len(gate.kinds) > 1 else fault
        memory[fault] = int(memory.get(fault, 0)) + 1
        memory["examples"] = [*memory.get("examples", []), f"{point.id} ({said})"][:_EXAMPLES]


def _offer(gate: GateContext, memory: State, point: Point, vectors: Mapping[str, Any]) -> None:
    """Each name is sampled from the points that have it."""
    samples, seed = gate.spec.validation.samples, gate.spec.validation.seed
    for name, vector in vectors.items():
        if not gate.kinds[name][0].askable(vector):
            continue
        if name == gate.vector:
            offer(memory["sample"], max(samples.records, samples.queries), seed, point.id)
        else:
            further = memory.setdefault("samples", {}).setdefault(name, [])
            offer(further, min(samples.queries, FURTHER), seed, point.id)


def askable(gate: GateContext, name: str | None = None) -> int | None:
    """How many points have something to be asked by under this name, else the main one; None where that was not
    counted."""
    memory, name = gate.part("vectors"), gate.vector if name is None else name
    if "having" not in memory:
        return None
    return int(memory["having"].get(name, 0)) - int(memory.get("empty", {}).get(name, 0))


def _count(memory: State, what: str, name: str, number: int = 1) -> None:
    counts = memory.setdefault(what, {})
    counts[name] = int(counts.get(name, 0)) + number


def _fault(vector: Any, kind: Kind, params: Mapping[str, Any]) -> str:
    if not kind.finite(vector):
        return "not finite"
    return "zero" if kind.zero(params, vector) else ""
