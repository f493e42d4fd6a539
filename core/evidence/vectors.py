"""Every vector of the new collection, looked at once: a single bad one among millions is no matter of samples."""

from collections.abc import Mapping
from typing import Any

from core.errors import Refused
from core.evidence.context import GateContext, Over
from core.evidence.equals import Equals, grouped
from core.evidence.probes import FURTHER
from core.evidence.sampling import offer
from core.kinds import Kind, by_name
from core.plan import State
from core.ports import Point, PointId

_PAGE = 512
_EXAMPLES = 5
#: Ids that are drawn for each record that is to be looked at: not all are in the live collection, or unchanged.
_IDS = 3


def look(gate: GateContext, over: Over) -> float | None:
    memory = gate.part("vectors")
    memory.setdefault("sample", [])
    equals = Equals(memory.setdefault("drawn", []), gate.spec.validation.seed)
    while not memory.get("read"):
        gate.store.pace(gate.green)
        points, after = gate.store.scroll(gate.green, memory.get("after"), _PAGE, payload=False)
        for point in points:
            _note(gate, memory, point)
            equals.see(point.id, _digests(gate, point))
        memory["after"], memory["read"] = after, after is None
        memory["seen"] = int(memory.get("seen", 0)) + len(points)
        if over():
            break
    if not memory["read"]:
        return 0.0
    drawn = memory.pop("drawn")
    memory["ids"] = [id for _, id, _ in drawn[: _IDS * gate.spec.validation.samples.records]]
    memory["equal"] = grouped(drawn)
    return None


def drawn_ids(gate: GateContext) -> list[PointId]:
    """A sample of the new collection's ids. Raises Refused where a release that drew none has read it."""
    memory = gate.part("vectors")
    if "ids" not in memory:
        raise Refused("another release has read the vectors and drew no sample for this check: retry runs it again")
    found: list[PointId] = memory["ids"]
    return found


def _digests(gate: GateContext, point: Point) -> dict[str, str]:
    """Of each vector that says something."""
    return {
        name: gate.kinds[name][0].digest(one)
        for name, one in by_name(point.vector).items()
        if name in gate.kinds and gate.kinds[name][0].askable(one)
    }


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
