"""Every vector of the new collection, looked at once: a single bad one among millions is no matter of samples."""

from collections.abc import Iterator, Mapping

import numpy as np

from core.evidence.context import GateContext, Over
from core.evidence.sampling import offer
from core.plan import State
from core.ports import FloatArray, Point

_PAGE = 512
_EXAMPLES = 5
#: Shorter than this is no direction (validation-gate, section 3).
_NO_LENGTH = 1e-6


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
    samples = gate.spec.validation.samples
    offer(memory["sample"], max(samples.records, samples.queries), gate.spec.validation.seed, point.id)
    fault = next(filter(None, (_fault(array, gate.rising) for array in _dense(point))), "")
    if fault:
        memory[fault] = int(memory.get(fault, 0)) + 1
        memory["examples"] = [*memory.get("examples", []), f"{point.id} ({fault})"][:_EXAMPLES]


def _dense(point: Point) -> Iterator[FloatArray]:
    vectors = point.vector.values() if isinstance(point.vector, Mapping) else (point.vector,)
    return (np.asarray(one, dtype=np.float32) for one in vectors if not isinstance(one, Mapping))


def _fault(array: FloatArray, rising: bool) -> str:
    """Where smaller scores are better, nothing is wrong with a vector at the origin."""
    if not np.isfinite(array).all():
        return "not finite"
    lengths = np.linalg.norm(np.atleast_2d(array), axis=1)
    return "zero" if rising and (lengths < _NO_LENGTH).any() else ""
